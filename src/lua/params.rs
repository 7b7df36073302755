//! Lua tables -> config. Every complaint names the parameter and what was expected.

use std::time::Duration;

use mlua::{Table, Value};

use crate::config::{
    Compression, ConnectConfig, Identity, Limits, ListenConfig, ProxyChoice, TlsOptions,
};

/// What is wrong with a parameter, in words for the script's author.
pub type Complaint = String;

/// A hundred years: longer times are as good as this, and no clock overflows.
const LONGEST_MS: f64 = 100.0 * 365.0 * 86_400_000.0;

/// Header fields that the handshake itself writes (RFC 6455 section 4.1).
const OWN_HEADERS: [&str; 7] = [
    "upgrade",
    "connection",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-extensions",
    "sec-websocket-accept",
    "content-length",
];

/// The `params` of `connect`. Keys that we do not know are ignored, as Defold ignores them.
pub fn connect(table: Option<&Table>) -> Result<ConnectConfig, Complaint> {
    let mut config = ConnectConfig::default();
    let Some(table) = table else {
        return Ok(config);
    };
    let params = Params::top(table);
    config.timeout = params.milliseconds("timeout")?.unwrap_or(config.timeout);
    config.delay = params.milliseconds("delay")?.unwrap_or(config.delay);
    config.protocols = params.protocols("protocol")?;
    client_headers(&params, &mut config)?;
    config.limits = limits(&params)?;
    if let Some(tls) = params.table("tls")? {
        config.tls = tls_options(&tls)?;
    }
    config.proxy = proxy(&params)?;
    Ok(config)
}

/// The `params` of `listen`.
pub fn listen(table: Option<&Table>) -> Result<ListenConfig, Complaint> {
    let mut config = ListenConfig::default();
    let Some(table) = table else {
        return Ok(config);
    };
    let params = Params::top(table);
    config.host = params.text("host")?.unwrap_or(config.host);
    let port = params.integer("port", 0, u16::MAX.into())?;
    config.port = port.map_or(config.port, |port| port as u16);
    config.protocols = params.protocols("protocols")?;
    config.headers = headers(&params)?;
    config.timeout = params.milliseconds("timeout")?.unwrap_or(config.timeout);
    let most = params.integer("max_connections", 1, 1 << 31)?;
    config.max_connections = most.map_or(config.max_connections, |most| most as usize);
    config.limits = limits(&params)?;
    if let Some(tls) = params.table("tls")? {
        tls.allow(&["certificate", "key"])?;
        let missing = |key| format!("params.tls.{key} is required: PEM text or a file's path");
        config.tls = Some(Identity {
            certificate: tls
                .text("certificate")?
                .ok_or_else(|| missing("certificate"))?,
            key: tls.text("key")?.ok_or_else(|| missing("key"))?,
        });
    }
    Ok(config)
}

/// Milliseconds from a script, as a duration that no clock overflows with.
pub fn duration(milliseconds: f64) -> Duration {
    Duration::from_secs_f64(milliseconds.clamp(0.0, LONGEST_MS) / 1000.0)
}

fn limits(params: &Params) -> Result<Limits, Complaint> {
    let defaults = Limits::default();
    let bytes = |key, default: usize| {
        let value = params.integer(key, 1, 1 << 40)?;
        Ok::<_, Complaint>(value.map_or(default, |value| value as usize))
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
    let table = match params.value("compression")? {
        Value::Nil | Value::Boolean(true) => return Ok(Some(config)),
        Value::Boolean(false) => return Ok(None),
        Value::Table(table) => table,
        other => return Err(params.complain("compression", "a boolean or a table", &other)),
    };
    let params = Params::nested("params.compression".to_owned(), table);
    params.allow(&[
        "level",
        "threshold",
        "client_no_context_takeover",
        "server_no_context_takeover",
        "client_max_window_bits",
        "server_max_window_bits",
    ])?;
    if let Some(level) = params.integer("level", 1, 9)? {
        config.level = level as u32;
    }
    if let Some(threshold) = params.integer("threshold", 0, 1 << 40)? {
        config.threshold = threshold as usize;
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
    params.allow(&[
        "ca",
        "certificate",
        "key",
        "server_name",
        "min_version",
        "pins",
        "dangerously_skip_verification",
    ])?;
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
    match params.value("proxy")? {
        Value::Nil | Value::Boolean(true) => Ok(ProxyChoice::Environment),
        Value::Boolean(false) => Ok(ProxyChoice::Never),
        Value::String(url) => Ok(ProxyChoice::Url(url.to_string_lossy())),
        other => Err(params.complain("proxy", "a URL or false", &other)),
    }
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

fn headers(params: &Params) -> Result<Vec<(String, String)>, Complaint> {
    let fields = match params.value("headers")? {
        Value::Nil => Vec::new(),
        Value::String(text) => parse_headers(&text.to_string_lossy())?,
        Value::Table(table) => header_table(&table)?,
        other => return Err(params.complain("headers", "a string or a table", &other)),
    };
    for (name, value) in &fields {
        check_header(name, value)?;
    }
    Ok(fields)
}

/// Lines `Name: value`, as Defold's `headers` has them.
fn parse_headers(text: &str) -> Result<Vec<(String, String)>, Complaint> {
    if text.contains("\r\n\r\n") {
        return Err(format!(
            "The header field must not contain double '\\r\\n\\r\\n': '{text}'"
        ));
    }
    let text = text.strip_suffix("\r\n").unwrap_or(text);
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split("\r\n")
        .map(|line| match line.split_once(':') {
            Some((name, value)) => Ok((name.to_owned(), value.trim().to_owned())),
            None => Err(format!(
                "params.headers: 'Name: value' expected, got '{line}'"
            )),
        })
        .collect()
}

fn header_table(table: &Table) -> Result<Vec<(String, String)>, Complaint> {
    let mut fields = Vec::new();
    for pair in table.pairs::<Value, Value>() {
        let (name, value) = pair.map_err(|error| error.to_string())?;
        let Value::String(name) = name else {
            return Err(format!(
                "params.headers: a string is expected as a header's name, got a {}",
                name.type_name()
            ));
        };
        let name = name.to_string_lossy();
        let values = match value {
            Value::Table(values) => values.sequence_values::<Value>().collect(),
            value => vec![Ok(value)],
        };
        for value in values {
            let value = value.map_err(|error| error.to_string())?;
            let text = text_of(&value);
            let text = text.ok_or_else(|| {
                let got = value.type_name();
                format!(
                    "params.headers['{name}'] must be a string or a list of strings, got a {got}"
                )
            })?;
            fields.push((name.clone(), text));
        }
    }
    // A table has no order of its own: the same request every time.
    fields.sort_by(|(left, _), (right, _)| left.cmp(right));
    Ok(fields)
}

fn check_header(name: &str, value: &str) -> Result<(), Complaint> {
    if name.is_empty() || !name.bytes().all(is_token_byte) {
        return Err(format!(
            "params.headers: '{name}: {value}' is no header: its name is not valid"
        ));
    }
    let forbidden = |byte: u8| (byte < 0x20 && byte != b'\t') || byte == 0x7f;
    if value.bytes().any(forbidden) {
        return Err(format!(
            "params.headers: the value of '{name}' must not contain control characters"
        ));
    }
    let lower = name.to_ascii_lowercase();
    if OWN_HEADERS.contains(&lower.as_str()) {
        return Err(format!(
            "params.headers: '{name}' belongs to the handshake and cannot be set"
        ));
    }
    Ok(())
}

/// Subprotocols with commas between them. RFC 6455 section 4.1: each a non-empty token, offered
/// once.
fn add_protocols(protocols: &mut Vec<String>, text: &str, key: &str) -> Result<(), Complaint> {
    for protocol in text.split(',').map(str::trim) {
        if protocol.is_empty() || !protocol.bytes().all(is_token_byte) {
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

/// RFC 9110 section 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A string, or a number as Lua would write it.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.to_string_lossy()),
        Value::Integer(_) | Value::Number(_) => value.to_string().ok(),
        _ => None,
    }
}

/// A table of parameters and what to call it.
struct Params {
    name: String,
    table: Table,
}

impl Params {
    fn top(table: &Table) -> Self {
        Self::nested("params".to_owned(), table.clone())
    }

    fn nested(name: String, table: Table) -> Self {
        Self { name, table }
    }

    /// Refuses keys that are not in the list.
    fn allow(&self, keys: &[&str]) -> Result<(), Complaint> {
        for pair in self.table.pairs::<Value, Value>() {
            let (key, _) = pair.map_err(|error| error.to_string())?;
            let known = key
                .as_string()
                .is_some_and(|it| keys.iter().any(|key| it == key));
            if !known {
                let key = text_of(&key).unwrap_or_else(|| key.type_name().to_owned());
                let name = &self.name;
                return Err(format!(
                    "{name}: unknown key '{key}', expected one of: {}",
                    keys.join(", ")
                ));
            }
        }
        Ok(())
    }

    fn value(&self, key: &str) -> Result<Value, Complaint> {
        self.table.get(key).map_err(|error| error.to_string())
    }

    fn complain(&self, key: &str, expected: &str, got: &Value) -> Complaint {
        let shown = match got {
            Value::String(text) => format!("\"{}\"", text.to_string_lossy()),
            Value::Table(_) => "a table".to_owned(),
            other => text_of(other).unwrap_or_else(|| format!("a {}", other.type_name())),
        };
        format!("{}.{key} must be {expected}, got {shown}", self.name)
    }

    fn table(&self, key: &str) -> Result<Option<Params>, Complaint> {
        match self.value(key)? {
            Value::Nil => Ok(None),
            Value::Table(table) => Ok(Some(Params::nested(format!("{}.{key}", self.name), table))),
            other => Err(self.complain(key, "a table", &other)),
        }
    }

    fn boolean(&self, key: &str) -> Result<Option<bool>, Complaint> {
        match self.value(key)? {
            Value::Nil => Ok(None),
            Value::Boolean(value) => Ok(Some(value)),
            other => Err(self.complain(key, "a boolean", &other)),
        }
    }

    fn number(&self, key: &str, expected: &str) -> Result<Option<f64>, Complaint> {
        match self.value(key)? {
            Value::Nil => Ok(None),
            Value::Integer(value) => Ok(Some(value as f64)),
            Value::Number(value) if !value.is_nan() => Ok(Some(value)),
            other => Err(self.complain(key, expected, &other)),
        }
    }

    fn milliseconds(&self, key: &str) -> Result<Option<Duration>, Complaint> {
        let expected = "a number of milliseconds, 0 or more";
        match self.number(key, expected)? {
            Some(value) if value < 0.0 => Err(self.complain(key, expected, &Value::Number(value))),
            value => Ok(value.map(duration)),
        }
    }

    fn integer(&self, key: &str, least: u64, most: u64) -> Result<Option<u64>, Complaint> {
        let expected = format!("a whole number from {least} to {most}");
        let Some(value) = self.number(key, &expected)? else {
            return Ok(None);
        };
        if value.fract() != 0.0 || value < least as f64 || value > most as f64 {
            return Err(self.complain(key, &expected, &Value::Number(value)));
        }
        Ok(Some(value as u64))
    }

    fn bytes(&self, key: &str) -> Result<Option<Vec<u8>>, Complaint> {
        match self.value(key)? {
            Value::Nil => Ok(None),
            Value::String(text) => Ok(Some(text.as_bytes().to_vec())),
            other => Err(self.complain(key, "a string", &other)),
        }
    }

    fn text(&self, key: &str) -> Result<Option<String>, Complaint> {
        match self.value(key)? {
            Value::Nil => Ok(None),
            Value::String(text) => Ok(Some(text.to_string_lossy())),
            other => Err(self.complain(key, "a string", &other)),
        }
    }

    /// A string, or a list of strings.
    fn texts(&self, key: &str) -> Result<Vec<String>, Complaint> {
        let expected = "a string or a list of strings";
        let list = match self.value(key)? {
            Value::Nil => return Ok(Vec::new()),
            Value::String(text) => return Ok(vec![text.to_string_lossy()]),
            Value::Table(list) => list,
            other => return Err(self.complain(key, expected, &other)),
        };
        list.sequence_values::<Value>()
            .map(|value| match value {
                Ok(Value::String(text)) => Ok(text.to_string_lossy()),
                Ok(other) => Err(self.complain(key, expected, &other)),
                Err(error) => Err(error.to_string()),
            })
            .collect()
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
