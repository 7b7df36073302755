//! What a loop that is not ours can wait for, where the host's own sleep is no descriptor: on
//! Windows that is a completion port, and loops wait for sockets.

use std::{
    io,
    net::{Ipv4Addr, UdpSocket},
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn is_readable(descriptor: &Descriptor) -> bool {
        descriptor.watched.peek(&mut [0]).is_ok()
    }

    fn wait_until_readable(descriptor: &Descriptor) {
        let deadline = Instant::now() + Duration::from_secs(20);
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
}
