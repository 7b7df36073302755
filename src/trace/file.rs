//! Lines on their way into a file, which may be slower than a connection.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    path::Path,
    sync::mpsc::{Receiver, Sender, channel},
    thread::{self, JoinHandle},
};

use super::recorder::Place;
use crate::error::out_of_threads;

/// Enough to copy bytes.
const STACK_SIZE: usize = 64 * 1024;

/// A file and the thread that writes it. What bounds the lines that wait are their places.
#[derive(Debug)]
pub(super) struct TraceFile {
    /// Some until it is dropped.
    lines: Option<Sender<(String, Place)>>,
    thread: Option<JoinHandle<()>>,
}

impl TraceFile {
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        let (lines, waiting) = channel();
        let thread = thread::Builder::new()
            .name("websocket-trace".to_owned())
            .stack_size(STACK_SIZE)
            .spawn(move || write_all(file, &waiting))
            .map_err(out_of_threads)?;
        Ok(Self {
            lines: Some(lines),
            thread: Some(thread),
        })
    }

    /// One line more. Who writes it may be gone, where the disk is full.
    pub fn write(&self, line: String, place: Place) {
        if let Some(lines) = &self.lines {
            let _ = lines.send((line, place));
        }
    }
}

/// Whoever drops the last of a trace, mostly a worker that ends, waits until all is written.
impl Drop for TraceFile {
    fn drop(&mut self) {
        self.lines = None;
        if let Some(thread) = self.thread.take() {
            // A panic was reported by the thread itself.
            let _ = thread.join();
        }
    }
}

/// Until nobody has more to say, or the file takes no more. What is there goes at once: whoever reads
/// along sees it. Several connections may append to one file: each writes whole lines.
fn write_all(file: File, waiting: &Receiver<(String, Place)>) {
    let mut out = BufWriter::new(file);
    while let Ok(first) = waiting.recv() {
        let mut next = Some(first);
        while let Some((line, _place)) = next {
            let room = out.capacity() - out.buffer().len();
            if line.len() > room && out.flush().is_err() || out.write_all(line.as_bytes()).is_err()
            {
                return;
            }
            next = waiting.try_recv().ok();
        }
        if out.flush().is_err() {
            return;
        }
    }
}
