//! Calls that block, on a thread of their own, while the worker sleeps under its deadline.

use std::{io, thread};

use crossbeam_channel::{TryRecvError, bounded};

use super::Reactor;
use crate::error::Error;

/// Enough for the system's resolver with its plug-ins, and for reading certificates.
const STACK_SIZE: usize = 256 * 1024;

/// Runs `job` on a detached thread and sleeps until it has returned. A cancellation or the
/// deadline leaves the thread to finish alone: what it returns then is dropped.
pub(super) fn offload<T, J>(name: &str, reactor: &mut Reactor, job: J) -> Result<T, Error>
where
    T: Send + 'static,
    J: FnOnce() -> T + Send + 'static,
{
    let (sender, receiver) = bounded(1);
    let waker = reactor.waker();
    let work = move || {
        // The receiver is gone when the connection was closed meanwhile.
        let _ = sender.send(job());
        let _ = waker.wake();
    };
    thread::Builder::new()
        .name(name.to_owned())
        .stack_size(STACK_SIZE)
        .spawn(work)
        .map_err(|error| Error::Io(reactor.stage(), out_of_threads(error)))?;
    loop {
        match receiver.try_recv() {
            Ok(result) => return Ok(result),
            Err(TryRecvError::Empty) => reactor.wait()?,
            Err(TryRecvError::Disconnected) => {
                let error = io::Error::other(format!("the {name} thread ended early"));
                return Err(Error::Io(reactor.stage(), error));
            }
        }
    }
}

/// `EAGAIN` from a thread's creation means that a resource is used up, not "try again".
fn out_of_threads(error: io::Error) -> io::Error {
    io::Error::new(
        io::ErrorKind::OutOfMemory,
        format!("cannot start a thread: {error}"),
    )
}
