//! What a loop that is not ours can wait for, where the host's own sleep is no descriptor: on
//! Windows that is a completion port, and loops wait for sockets.

use std::{
    io,
    net::{Ipv4Addr, UdpSocket},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// A socket that is readable from [`ring`](Self::ring) to [`silence`](Self::silence). Two UDP
/// sockets of loopback are connected to each other, so nobody else can ring.
#[derive(Debug)]
pub struct Descriptor {
    watched: UdpSocket,
    bell: UdpSocket,
}

impl Descriptor {
    /// A descriptor that is not readable.
    pub fn new() -> io::Result<Self> {
        let watched = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let bell = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        watched.connect(bell.local_addr()?)?;
        bell.connect(watched.local_addr()?)?;
        watched.set_nonblocking(true)?;
        bell.set_nonblocking(true)?;
        let descriptor = Self { watched, bell };
        // Somebody may have sent between `bind` and `connect`.
        descriptor.silence();
        Ok(descriptor)
    }

    /// Makes the socket readable.
    pub fn ring(&self) {
        // What finds no room finds the socket readable already.
        let _ = self.bell.send(&[0]);
    }

    /// Makes the socket unreadable.
    pub fn silence(&self) {
        while self.watched.recv(&mut [0]).is_ok() {}
    }

    /// The socket's number, as `select` and libuv take it.
    #[cfg(windows)]
    pub fn number(&self) -> Option<i32> {
        use std::os::windows::io::AsRawSocket;
        // A handle has 32 significant bits, and its number is small.
        i32::try_from(self.watched.as_raw_socket()).ok()
    }
}

/// Calls a function at a time: a thread that sleeps until then. Its end is awaited when this is
/// dropped.
#[derive(Debug)]
pub struct Ringer {
    plan: Arc<Plan>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Plan {
    /// What to wait for next. Held for moments only, never while the function is called.
    next: Mutex<Next>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
enum Next {
    #[default]
    Nothing,
    At(Instant),
    End,
}

impl Ringer {
    /// A ringer that is set to no time.
    pub fn new(ring: impl Fn() + Send + 'static) -> io::Result<Self> {
        let plan = Arc::new(Plan::default());
        let own = Arc::clone(&plan);
        let builder = thread::Builder::new().name("websocket-alarm".to_owned());
        let thread = builder.stack_size(64 * 1024).spawn(move || own.run(ring))?;
        Ok(Self {
            plan,
            thread: Some(thread),
        })
    }

    /// Sets it to another time, or to none.
    pub fn set(&self, after: Option<Duration>) {
        // A time beyond what a clock can tell never comes.
        let at = after.and_then(|after| Instant::now().checked_add(after));
        self.plan.change(at.map_or(Next::Nothing, Next::At));
    }
}

impl Drop for Ringer {
    fn drop(&mut self) {
        self.plan.change(Next::End);
        if let Some(thread) = self.thread.take() {
            // A panic of `ring` has been told on standard error, and ended the thread.
            let _ = thread.join();
        }
    }
}

impl Plan {
    fn run(&self, ring: impl Fn()) {
        let mut next = self.lock();
        loop {
            next = match *next {
                Next::End => return,
                Next::Nothing => self
                    .changed
                    .wait(next)
                    .unwrap_or_else(PoisonError::into_inner),
                Next::At(at) => {
                    let left = at.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        *next = Next::Nothing;
                        drop(next);
                        ring();
                        self.lock()
                    } else {
                        let waited = self.changed.wait_timeout(next, left);
                        waited.unwrap_or_else(PoisonError::into_inner).0
                    }
                }
            };
        }
    }

    fn change(&self, next: Next) {
        *self.lock() = next;
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Next> {
        // Nothing panics while this is held; it is one plain value.
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn is_readable(descriptor: &Descriptor) -> bool {
        descriptor.watched.peek(&mut [0]).is_ok()
    }

    fn wait_until_readable(descriptor: &Descriptor) {
        let deadline = Instant::now() + PATIENCE;
        while !is_readable(descriptor) {
            assert!(Instant::now() < deadline, "no ring was heard");
            std::thread::yield_now();
        }
    }

    #[test]
    fn is_readable_from_ring_to_silence() {
        let descriptor = Descriptor::new().expect("loopback has sockets");
        assert!(!is_readable(&descriptor));
        for _ in 0..3 {
            descriptor.ring();
            wait_until_readable(&descriptor);
            descriptor.silence();
            assert!(!is_readable(&descriptor));
        }
    }

    #[test]
    fn rings_that_nobody_answers_are_one() {
        let descriptor = Descriptor::new().expect("loopback has sockets");
        for _ in 0..100_000 {
            descriptor.ring();
        }
        wait_until_readable(&descriptor);
        descriptor.silence();
        assert!(!is_readable(&descriptor));
    }

    #[test]
    fn others_cannot_ring() {
        let descriptor = Descriptor::new().expect("loopback has sockets");
        let address = descriptor.watched.local_addr().expect("it is bound");
        let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has sockets");
        // What the stranger sends is refused, or goes before what we send.
        let _ = stranger.send_to(&[1], address);
        descriptor.ring();
        wait_until_readable(&descriptor);
        let mut heard = [9];
        descriptor.watched.recv(&mut heard).expect("it was rung");
        assert_eq!(heard, [0]);
    }

    #[test]
    fn rings_once_at_the_time_that_was_set_last() {
        let (rung, rings) = mpsc::channel();
        let ringer = Ringer::new(move || rung.send(Instant::now()).expect("the test listens"))
            .expect("there is a thread to spare");
        ringer.set(Some(Duration::from_secs(3600)));
        let began = Instant::now();
        ringer.set(Some(Duration::from_millis(50)));
        let at = rings.recv_timeout(PATIENCE).expect("it rings");
        assert!(at - began >= Duration::from_millis(50));
        ringer.set(Some(Duration::ZERO));
        rings.recv_timeout(PATIENCE).expect("it rings again");
        ringer.set(Some(Duration::from_secs(3600)));
        ringer.set(None);
        drop(ringer);
        assert!(rings.recv_timeout(PATIENCE).is_err(), "it rang at its end");
    }
}
