//! The load that servers are measured with: one thread, one poll, thousands of clients.
//!
//! `load MODE port=P pid=N [connections=] [size=] [seconds=] [messages=] [publish=] [stalled=]
//! [deflate=] [ca=]`, one line of JSON as output. `pid` is the server's process, whose memory and
//! CPU time are read from /proc. Modes:
//!
//! - `echo`: a message of `size` bytes is in flight on each connection, for `seconds`.
//! - `broadcast`: what one client publishes goes to all others; the next message is published
//!   when every one of them has the last, for `seconds`, or `messages` times. `stalled` more
//!   clients never read, and the system keeps nothing more for them. `publish` is the rest of the
//!   publisher's path: how the server is to do it.
//! - `open`: all connect at once, up to the last greeting.
//! - `idle`: what each costs while nothing happens for `seconds`.
//!
//! A server has three paths: `/echo` sends each message back as it came. `/topic` sends a text as
//! a greeting, then what is published. `/publish` publishes binary messages, and answers a text
//! with how many bytes wait for that client of the topic which has the most waiting.

mod broadcast;
mod crowd;
mod echo;
mod frame;
mod idle;
mod open;
mod process;
mod stream;

use std::{collections::HashMap, env, path::PathBuf, str::FromStr};

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

/// What the command line asks for.
struct Options {
    port: u16,
    pid: u32,
    connections: usize,
    size: usize,
    seconds: f64,
    /// Instead of `seconds`, unless it is 0.
    messages: usize,
    publish: String,
    stalled: usize,
    deflate: bool,
    /// The issuer to trust; without it there is no TLS.
    ca: Option<PathBuf>,
}

fn main() -> Fallible<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some((mode, settings)) = arguments.split_first() else {
        return Err("usage: load MODE port=P pid=N [name=value ...]".into());
    };
    let options = Options::parse(settings)?;
    let report = match mode.as_str() {
        "echo" => echo::run(&options)?,
        "broadcast" => broadcast::run(&options)?,
        "open" => open::run(&options)?,
        "idle" => idle::run(&options)?,
        other => return Err(format!("no mode {other}").into()),
    };
    let fields: Vec<String> = report
        .iter()
        .map(|(name, value)| format!("\"{name}\": {value:.4}"))
        .collect();
    println!("{{{}}}", fields.join(", "));
    Ok(())
}

/// What is printed: names and figures.
type Report = Vec<(&'static str, f64)>;

impl Options {
    fn parse(settings: &[String]) -> Fallible<Self> {
        let mut given = HashMap::new();
        for setting in settings {
            let (name, value) = setting.split_once('=').ok_or("name=value expected")?;
            given.insert(name, value);
        }
        let options = Self {
            port: take(&mut given, "port", "")?,
            pid: take(&mut given, "pid", "")?,
            connections: take(&mut given, "connections", "1")?,
            size: take(&mut given, "size", "32")?,
            seconds: take(&mut given, "seconds", "1")?,
            messages: take(&mut given, "messages", "0")?,
            publish: take(&mut given, "publish", "")?,
            stalled: take(&mut given, "stalled", "0")?,
            deflate: take(&mut given, "deflate", "false")?,
            ca: given.remove("ca").map(PathBuf::from),
        };
        match given.keys().next() {
            Some(unknown) => Err(format!("no setting {unknown}").into()),
            None => Ok(options),
        }
    }
}

fn take<T: FromStr>(given: &mut HashMap<&str, &str>, name: &str, default: &str) -> Fallible<T> {
    let value = given.remove(name).unwrap_or(default);
    let parsed = value.parse();
    parsed.map_err(|_| format!("{name}={value} is not what was expected").into())
}

/// The middle one of what is sorted, the last of its first 99 hundredths, or the like.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let at = (sorted.len() as f64 * part) as usize;
    sorted
        .get(at.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(0.0)
}
