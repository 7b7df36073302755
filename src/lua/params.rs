//! Parameters -> config. Every complaint names the parameter and what was expected.

mod headers;
mod listen;

use std::time::Duration;

use headers::headers;
pub use listen::{answer, listen, reload};

use super::plain::Plain;
use crate::{
    config::{Compression, ConnectConfig, Limits, ProxyChoice, TlsOptions, Trace},
    net::path_of,
    protocol::extension,
};

/// What is wrong with a parameter, in words for the script's author.
pub type Complaint = String;

/// A hundred years: longer times are as good as this, and no clock overflows.
const LONGEST_MS: f64 = 100.0 * 365.0 * 86_400_000.0;

/// The keys of a connection's `params`.
pub const CONNECT: [&str; 16] = [
    "timeout",
    "headers",
    "max_message_size",
    "max_receive_queue",
    "max_send_queue",
    "close_timeout",
    "ping_interval",
    "ping_timeout",
    "compression",
    "tls",
    "protocol",
    "delay",
    "proxy",
    "linger",
    "trace",
    "self",
];
/// The keys of `params.trace`; module.lua itself looks after `entry`.
pub const TRACE: [&str; 4] = ["entry", "file", "payload", "max_queue"];
/// Those of them that are numbers.
pub const NUMBERS: [&str; 8] = [
    "timeout",
    "delay",
    "max_message_size",
    "max_receive_queue",
    "max_send_queue",
    "close_timeout",
    "ping_interval",
    "ping_timeout",
];
/// The keys of a server's `params`.
pub const LISTEN: [&str; 25] = [
    "timeout",
    "headers",
    "max_message_size",
    "max_receive_queue",
    "max_send_queue",
    "close_timeout",
    "ping_interval",
    "ping_timeout",
    "compression",
    "tls",
    "host",
    "port",
    "unix",
    "unix_mode",
    "protocols",
    "max_connections",
    "max_handshakes",
    "workers",
    "backlog",
    "origins",
    "allow_any_origin",
    "hosts",
    "authorize",
    "request",
    "self",
];
/// The keys of `params.compression`.
pub const COMPRESSION: [&str; 6] = [
    "level",
    "threshold",
    "client_no_context_takeover",
    "server_no_context_takeover",
    "client_max_window_bits",
    "server_max_window_bits",
];
/// The keys of `params.tls`.
pub const TLS: [&str; 7] = [
    "ca",
    "certificate",
    "key",
    "server_name",
    "min_version",
    "pins",
    "dangerously_skip_verification",
];

/// The keys of a server's `params.tls`.
pub const LISTEN_TLS: [&str; 3] = ["certificate", "key", "client_ca"];

/// The `params` of `connect`. Keys that we do not know are ignored, as Defold ignores them.
pub fn connect(params: &Plain) -> Result<ConnectConfig, Complaint> {
    let mut config = ConnectConfig::default();
    let Some(params) = Params::top(params) else {
        return Ok(config);
    };
    // None or less is an error of its own, which Defold tells as an event.
    let timeout = params.number("timeout", "a number of milliseconds")?;
    config.timeout = timeout.map_or(config.timeout, duration);
    config.delay = params.milliseconds("delay")?.unwrap_or(config.delay);
    config.protocols = params.protocols("protocol")?;
    client_headers(&params, &mut config)?;
    config.limits = limits(&params)?;
    if let Some(tls) = params.table("tls")? {
        config.tls = tls_options(&tls)?;
    }
    config.proxy = proxy(&params)?;
    // Last, for it may open a file.
    config.trace = trace(&params)?;
    Ok(config)
}

/// Milliseconds from a script, as a duration that no clock overflows with.
pub fn duration(milliseconds: f64) -> Duration {
    Duration::from_secs_f64(milliseconds.clamp(0.0, LONGEST_MS) / 1000.0)
}

/// A number of bytes. What no address reaches is as good as the last that one does.
fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn limits(params: &Params) -> Result<Limits, Complaint> {
    let defaults = Limits::default();
    let bytes = |key, default: usize| {
        let value = params.integer(key, 1, 1 << 40)?;
        Ok::<_, Complaint>(value.map_or(default, in_memory))
    };
    Ok(Limits {
        max_message_size: bytes("max_message_size", defaults.max_message_size)?,
        max_receive_queue: bytes("max_receive_queue", defaults.max_receive_queue)?,
        max_send_queue: bytes("max_send_queue", defaults.max_send_queue)?,
        close_timeout: params
            .milliseconds("close_timeout")?
            .unwrap_or(defaults.close_timeout),
        ping_interval: params
            .milliseconds("ping_interval")?
            .filter(|it| !it.is_zero()),
        ping_timeout: params
            .milliseconds("ping_timeout")?
            .unwrap_or(defaults.ping_timeout),
        compression: compression(params)?,
    })
}

fn compression(params: &Params) -> Result<Option<Compression>, Complaint> {
    let mut config = Compression::default();
    let table = match params.value("compression") {
        Plain::Nil | Plain::Boolean(true) => return Ok(Some(config)),
        Plain::Boolean(false) => return Ok(None),
        Plain::Table(table) => table,
        other => return Err(params.complain("compression", "a boolean or a table", other)),
    };
    let params = Params::nested("params.compression".to_owned(), table);
    params.allow(&COMPRESSION)?;
    if let Some(level) = params.integer("level", 1, 9)? {
        config.level = level as u32;
    }
    if let Some(threshold) = params.integer("threshold", 0, 1 << 40)? {
        config.threshold = in_memory(threshold);
    }
    let flag = |key, default| Ok::<_, Complaint>(params.boolean(key)?.unwrap_or(default));
    config.client_no_context_takeover = flag(
        "client_no_context_takeover",
        config.client_no_context_takeover,
    )?;
    config.server_no_context_takeover = flag(
        "server_no_context_takeover",
        config.server_no_context_takeover,
    )?;
    let bits = |key| Ok::<_, Complaint>(params.integer(key, 8, 15)?.map(|bits| bits as u8));
    config.client_max_window_bits =
        bits("client_max_window_bits")?.or(config.client_max_window_bits);
    config.server_max_window_bits =
        bits("server_max_window_bits")?.or(config.server_max_window_bits);
    Ok(Some(config))
}

fn tls_options(params: &Params) -> Result<TlsOptions, Complaint> {
    params.allow(&TLS)?;
    let min_version = params.text("min_version")?;
    if let Some(version) = &min_version
        && !matches!(version.as_str(), "1.0" | "1.1" | "1.2" | "1.3")
    {
        return Err(format!(
            "params.tls.min_version must be \"1.0\", \"1.1\", \"1.2\" or \"1.3\", got \"{version}\""
        ));
    }
    Ok(TlsOptions {
        ca: params.bytes("ca")?,
        certificate: params.bytes("certificate")?,
        key: params.bytes("key")?,
        server_name: params.text("server_name")?,
        min_version,
        pins: params.texts("pins")?,
        dangerously_skip_verification: params
            .boolean("dangerously_skip_verification")?
            .unwrap_or(false),
    })
}

fn proxy(params: &Params) -> Result<ProxyChoice, Complaint> {
    match params.value("proxy") {
        Plain::Nil | Plain::Boolean(true) => Ok(ProxyChoice::Environment),
        Plain::Boolean(false) => Ok(ProxyChoice::Never),
        Plain::Text(url) => Ok(ProxyChoice::Url(lossy(url))),
        other => Err(params.complain("proxy", "a URL or false", other)),
    }
}

fn trace(params: &Params) -> Result<Option<Trace>, Complaint> {
    let open = |key: &str, path: &[u8]| {
        let failed = |error| format!("params.{key}: '{}' cannot be opened: {error}", lossy(path));
        Trace::file(&path_of(path.to_vec())).map_err(failed)
    };
    let table = match params.value("trace") {
        Plain::Nil | Plain::Boolean(false) => return Ok(None),
        Plain::Text(path) => return open("trace", path).map(Some),
        Plain::Table(table) => table,
        other => return Err(params.complain("trace", "a function, a path or a table", other)),
    };
    let params = Params::nested("params.trace".to_owned(), table);
    params.allow(&TRACE)?;
    let payload = params.integer("payload", 0, 1 << 30)?;
    let max_queue = params.integer("max_queue", 0, 1 << 40)?;
    let mut trace = match params.bytes("file")? {
        Some(path) => open("trace.file", &path)?,
        None => Trace::events(),
    };
    trace.payload = payload.map_or(trace.payload, in_memory);
    trace.max_queue = max_queue.map_or(trace.max_queue, in_memory);
    Ok(Some(trace))
}

/// Of a client: those that name subprotocols count as `protocol`, as in Defold's own example.
fn client_headers(params: &Params, config: &mut ConnectConfig) -> Result<(), Complaint> {
    for (name, value) in headers(params)? {
        if name.eq_ignore_ascii_case("sec-websocket-protocol") {
            let key = "headers['Sec-WebSocket-Protocol']";
            add_protocols(&mut config.protocols, &value, key)?;
        } else {
            config.headers.push((name, value));
        }
    }
    Ok(())
}

/// The values at 1, 2 and so on.
fn in_sequence<'a, 'b>(table: &'b [(Plain<'a>, Plain<'a>)]) -> Vec<&'b Plain<'a>> {
    let mut values: Vec<_> = table
        .iter()
        .filter_map(|(key, value)| match key {
            Plain::Number(key) => Some((*key, value)),
            _ => None,
        })
        .filter(|(key, _)| *key >= 1.0)
        .collect();
    values.sort_by(|(left, _), (right, _)| left.total_cmp(right));
    let mut next = 0.0;
    let in_order = values.into_iter().take_while(|(key, _)| {
        next += 1.0;
        *key == next
    });
    in_order.map(|(_, value)| value).collect()
}

/// Subprotocols with commas between them. RFC 6455 section 4.1: each a non-empty token, offered
/// once.
fn add_protocols(protocols: &mut Vec<String>, text: &str, key: &str) -> Result<(), Complaint> {
    for protocol in text.split(',').map(str::trim) {
        if protocol.is_empty() || !protocol.bytes().all(extension::is_token) {
            return Err(format!(
                "params.{key}: '{protocol}' is no valid subprotocol"
            ));
        }
        if !protocols.iter().any(|known| known == protocol) {
            protocols.push(protocol.to_owned());
        }
    }
    Ok(())
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// A table of parameters and what to call it.
struct Params<'a> {
    name: String,
    table: &'a [(Plain<'a>, Plain<'a>)],
}

impl<'a> Params<'a> {
    /// None where there is no table.
    fn top(params: &'a Plain<'a>) -> Option<Self> {
        match params {
            Plain::Table(table) => Some(Self::nested("params".to_owned(), table)),
            _ => None,
        }
    }

    fn nested(name: String, table: &'a [(Plain<'a>, Plain<'a>)]) -> Self {
        Self { name, table }
    }

    /// Refuses keys that are not in the list.
    fn allow(&self, keys: &[&str]) -> Result<(), Complaint> {
        for (key, _) in self.table {
            let is_known =
                |known: &&str| matches!(key, Plain::Text(key) if *key == known.as_bytes());
            if !keys.iter().any(is_known) {
                return Err(format!(
                    "{}: unknown key '{}', expected one of: {}",
                    self.name,
                    shown(key).trim_matches('"'),
                    keys.join(", ")
                ));
            }
        }
        Ok(())
    }

    fn value(&self, key: &str) -> &'a Plain<'a> {
        let mut pairs = self.table.iter();
        let pair = pairs.find(|(name, _)| *name == Plain::Text(key.as_bytes()));
        pair.map_or(&Plain::Nil, |(_, value)| value)
    }

    fn complain(&self, key: &str, expected: &str, got: &Plain) -> Complaint {
        format!("{}.{key} must be {expected}, got {}", self.name, shown(got))
    }

    fn table(&self, key: &str) -> Result<Option<Params<'a>>, Complaint> {
        match self.value(key) {
            Plain::Nil => Ok(None),
            Plain::Table(table) => Ok(Some(Params::nested(format!("{}.{key}", self.name), table))),
            other => Err(self.complain(key, "a table", other)),
        }
    }

    fn boolean(&self, key: &str) -> Result<Option<bool>, Complaint> {
        match self.value(key) {
            Plain::Nil => Ok(None),
            Plain::Boolean(value) => Ok(Some(*value)),
            other => Err(self.complain(key, "a boolean", other)),
        }
    }

    fn number(&self, key: &str, expected: &str) -> Result<Option<f64>, Complaint> {
        match self.value(key) {
            Plain::Nil => Ok(None),
            Plain::Number(value) if !value.is_nan() => Ok(Some(*value)),
            other => Err(self.complain(key, expected, other)),
        }
    }

    fn milliseconds(&self, key: &str) -> Result<Option<Duration>, Complaint> {
        let expected = "a number of milliseconds, 0 or more";
        match self.number(key, expected)? {
            Some(value) if value < 0.0 => Err(self.complain(key, expected, &Plain::Number(value))),
            value => Ok(value.map(duration)),
        }
    }

    fn integer(&self, key: &str, least: u64, most: u64) -> Result<Option<u64>, Complaint> {
        let expected = format!("a whole number from {least} to {most}");
        let Some(value) = self.number(key, &expected)? else {
            return Ok(None);
        };
        if value.fract() != 0.0 || value < least as f64 || value > most as f64 {
            return Err(self.complain(key, &expected, &Plain::Number(value)));
        }
        Ok(Some(value as u64))
    }

    fn bytes(&self, key: &str) -> Result<Option<Vec<u8>>, Complaint> {
        match self.value(key) {
            Plain::Nil => Ok(None),
            Plain::Text(text) => Ok(Some(text.to_vec())),
            other => Err(self.complain(key, "a string", other)),
        }
    }

    fn text(&self, key: &str) -> Result<Option<String>, Complaint> {
        let bytes = self.bytes(key)?;
        Ok(bytes.map(|bytes| lossy(&bytes)))
    }

    /// A string, or a list of strings.
    fn texts(&self, key: &str) -> Result<Vec<String>, Complaint> {
        let expected = "a string or a list of strings";
        let list = match self.value(key) {
            Plain::Nil => return Ok(Vec::new()),
            Plain::Text(text) => return Ok(vec![lossy(text)]),
            Plain::Table(list) => list,
            other => return Err(self.complain(key, expected, other)),
        };
        let text = |value: &Plain| match value {
            Plain::Text(text) => Ok(lossy(text)),
            other => Err(self.complain(key, expected, other)),
        };
        in_sequence(list).into_iter().map(text).collect()
    }

    /// Subprotocols: a string, with commas between several, or a list.
    fn protocols(&self, key: &str) -> Result<Vec<String>, Complaint> {
        let mut protocols = Vec::new();
        for text in self.texts(key)? {
            add_protocols(&mut protocols, &text, key)?;
        }
        Ok(protocols)
    }
}

/// A value in a complaint.
fn shown(value: &Plain) -> String {
    match value {
        Plain::Text(text) => format!("\"{}\"", lossy(text)),
        Plain::Number(number) => number.to_string(),
        other => format!("a {}", other.type_name()),
    }
}
