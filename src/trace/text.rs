//! Entries as lines for people.

use std::{
    fmt::{self, Write},
    time::Duration,
};

use super::{Cause, Direction, Field, What};
use crate::protocol::{
    Kind,
    scan::{Frame, close_of},
};

/// How much of a payload is in the text of an entry that has the bytes themselves.
pub(super) const SHORT: usize = 256;

/// A line of a file: the connection's number, when, what.
pub(super) fn line(id: u64, time: Duration, what: &What) -> String {
    let text = text(what, usize::MAX);
    format!("#{id} {:>12.3} ms  {text}\n", milliseconds(time))
}

/// The text of an entry.
pub(super) fn short(what: &What) -> String {
    text(what, SHORT)
}

fn text(what: &What, most: usize) -> String {
    let mut text = String::new();
    // A String takes all.
    let _ = describe(&mut text, what, most);
    // An entry is one line, whatever a server has written into its fields.
    match text.contains(char::is_control) {
        true => text.chars().flat_map(printable).collect(),
        false => text,
    }
}

fn printable(character: char) -> impl Iterator<Item = char> {
    let escaped = character.is_control().then(|| character.escape_default());
    let plain = (!character.is_control()).then_some(character);
    escaped.into_iter().flatten().chain(plain)
}

fn describe(out: &mut String, what: &What, most: usize) -> fmt::Result {
    write!(out, "{}", what.stage())?;
    match what {
        What::Frame { direction, frame } => {
            write!(out, " {}", direction.as_str())?;
            describe_frame(out, frame, most)
        }
        What::Stall { direction, cause } => write!(
            out,
            " {}: {}",
            direction.as_str(),
            match cause {
                Cause::Paused => "the host has paused the connection",
                Cause::Host => "max_receive_queue of messages wait for the host",
                Cause::Network => "the network takes no more",
            }
        ),
        What::Resume { direction, took } => {
            write!(out, " {} ({})", direction.as_str(), Took(*took))
        }
        What::Error { stage, message, .. } => write!(out, " in {stage}: {message}"),
        What::Close {
            code,
            reason,
            clean,
            by,
        } => {
            let clean = if *clean { "clean" } else { "not clean" };
            let by = match by {
                Some(Direction::Sent) => ", begun by us",
                Some(Direction::Received) => ", begun by the peer",
                None => "",
            };
            write!(out, " {code} {} {clean}{by}", Quoted(reason.as_bytes()))
        }
        What::Dropped { count } => write!(out, " {count}: what reads this trace was too slow"),
        _ => describe_stage(out, what),
    }
}

/// The way to an open connection.
fn describe_stage(out: &mut String, what: &What) -> fmt::Result {
    match what {
        What::Begin { url } => write!(out, " {url}"),
        What::Resolve {
            host,
            addresses,
            took,
        } => {
            let list: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            write!(out, " {host}: {} ({})", list.join(", "), Took(*took))
        }
        What::Connect { address, took } => write!(out, " {address} ({})", Took(*took)),
        What::Proxy {
            proxy,
            target,
            took,
        } => write!(out, " {proxy} to {target} ({})", Took(*took)),
        What::Tls { name, took } => write!(out, " {name} ({})", Took(*took)),
        What::Request { target, headers } => {
            write!(out, " request: GET {target}{}", Headers(headers))
        }
        What::Response {
            status,
            headers,
            took,
        } => write!(
            out,
            " response: {status}{} ({})",
            Headers(headers),
            Took(*took)
        ),
        _ => Ok(()),
    }
}

fn describe_frame(out: &mut String, frame: &Frame, most: usize) -> fmt::Result {
    let name = match frame.opcode {
        0 => "continuation",
        1 => "text",
        2 => "binary",
        8 => "close",
        9 => "ping",
        10 => "pong",
        _ => "reserved",
    };
    let fin = if frame.fin { " fin" } else { "" };
    write!(out, " {name}{fin} {} bytes", frame.length)?;
    if frame.compressed {
        match frame.size {
            Some(size) => write!(out, ", inflated {size}")?,
            None => out.write_str(", no DEFLATE stream")?,
        }
    }
    if let Some((code, reason)) = close_of(frame) {
        return write!(out, ": {code} {}", Quoted(reason));
    }
    let shown = &frame.payload[..frame.payload.len().min(most)];
    match frame.kind {
        Some(Kind::Text) => write!(out, ": {}", Quoted(shown))?,
        _ if !shown.is_empty() => write!(out, ": {}", shown.escape_ascii())?,
        _ => {}
    }
    if frame.is_cut() || shown.len() < frame.payload.len() {
        out.write_str("...")?;
    }
    Ok(())
}

struct Took(Duration);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ms", milliseconds(self.0))
    }
}

struct Headers<'a>(&'a [Field]);

impl fmt::Display for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, value)| {
            write!(f, " | {name}: {}", String::from_utf8_lossy(value))
        })
    }
}

/// Text in quotation marks: what is none, as a character that was cut in two, in hexadecimal.
struct Quoted<'a>(&'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for chunk in self.0.utf8_chunks() {
            write!(f, "{}", chunk.valid().escape_debug())?;
            write!(f, "{}", chunk.invalid().escape_ascii())?;
        }
        f.write_char('"')
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
