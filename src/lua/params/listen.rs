//! The `params` of a server, and its answers.

use std::{num::NonZero, path::PathBuf, str::FromStr};

use super::{Complaint, LISTEN, LISTEN_TLS, Params, headers, in_memory, limits};
use crate::{
    config::{HostPattern, Identity, ListenConfig, Origins},
    lua::plain::Plain,
    net::path_of,
    petition::Answer,
};

/// The `params` of `listen`.
pub fn listen(params: &Plain) -> Result<ListenConfig, Complaint> {
    let mut config = ListenConfig::default();
    let Some(params) = Params::top(params) else {
        return Ok(config);
    };
    params.allow(&LISTEN)?;
    config.host = params.text("host")?.unwrap_or(config.host);
    let port = params.integer("port", 0, u16::MAX.into())?;
    config.port = port.map_or(config.port, |port| port as u16);
    config.unix = unix(&params)?;
    config.unix_mode = unix_mode(&params)?.unwrap_or(config.unix_mode);
    config.protocols = params.protocols("protocols")?;
    config.headers = headers(&params)?;
    config.timeout = params.milliseconds("timeout")?.unwrap_or(config.timeout);
    let most = params.integer("max_connections", 1, 1 << 31)?;
    config.max_connections = most.map_or(config.max_connections, in_memory);
    let most = params.integer("max_handshakes", 1, 1 << 31)?;
    config.max_handshakes = most.map_or(config.max_handshakes, in_memory);
    let workers = params.integer("workers", 1, 256)?;
    config.workers = workers.map(in_memory).and_then(NonZero::new);
    let backlog = params.integer("backlog", 1, i32::MAX as u64)?;
    config.backlog = backlog.and_then(|it| NonZero::new(it as u32));
    config.origins = origins(&params)?;
    config.hosts = hosts(&params)?;
    config.authorize = params.boolean("authorize")?.unwrap_or(false);
    config.answers_requests = params.boolean("request")?.unwrap_or(false);
    config.limits = limits(&params)?;
    config.tls = identity(&params)?;
    Ok(config)
}

/// The path of a Unix socket.
fn unix(params: &Params) -> Result<Option<PathBuf>, Complaint> {
    let Some(path) = params.bytes("unix")? else {
        return Ok(None);
    };
    for key in ["host", "port"] {
        if *params.value(key) != Plain::Nil {
            return Err(format!(
                "params.unix leaves nothing to params.{key}: one of them"
            ));
        }
    }
    match path.is_empty() || path.contains(&0) {
        true => Err(params.complain("unix", "the path of a file", params.value("unix"))),
        false => Ok(Some(path_of(path))),
    }
}

/// As chmod takes it: Lua has no octal numbers.
fn unix_mode(params: &Params) -> Result<Option<u32>, Complaint> {
    let Some(text) = params.text("unix_mode")? else {
        return Ok(None);
    };
    match u32::from_str_radix(&text, 8) {
        Ok(mode) if text.len() <= 4 && mode <= 0o777 => Ok(Some(mode)),
        _ => {
            let expected = "up to three octal digits, as \"660\"";
            Err(params.complain("unix_mode", expected, params.value("unix_mode")))
        }
    }
}

/// The `tls` of a server.
fn identity(params: &Params) -> Result<Option<Identity>, Complaint> {
    let Some(tls) = params.table("tls")? else {
        return Ok(None);
    };
    tls.allow(&LISTEN_TLS)?;
    let missing = |key| format!("params.tls.{key} is required: PEM text or a file's path");
    Ok(Some(Identity {
        certificate: tls
            .text("certificate")?
            .ok_or_else(|| missing("certificate"))?,
        key: tls.text("key")?.ok_or_else(|| missing("key"))?,
        client_ca: tls.text("client_ca")?,
    }))
}

/// What `server:reload` is given.
pub fn reload(params: &Plain) -> Result<Identity, Complaint> {
    let missing = || "params.tls is required: a table".to_owned();
    let params = Params::top(params).ok_or_else(missing)?;
    params.allow(&["tls"])?;
    identity(&params)?.ok_or_else(missing)
}

fn origins(params: &Params) -> Result<Origins, Complaint> {
    let patterns = params.texts("origins")?;
    let is_listed = *params.value("origins") != Plain::Nil;
    match params.boolean("allow_any_origin")?.unwrap_or(false) {
        true if is_listed => {
            Err("params.allow_any_origin leaves nothing to params.origins: one of them".to_owned())
        }
        true => Ok(Origins::Any),
        false if is_listed => parsed("origins", &patterns).map(Origins::Only),
        false => Ok(Origins::Same),
    }
}

fn hosts(params: &Params) -> Result<Option<Vec<HostPattern>>, Complaint> {
    match params.value("hosts") {
        Plain::Nil => Ok(None),
        _ => parsed("hosts", &params.texts("hosts")?).map(Some),
    }
}

fn parsed<T: FromStr<Err = String>>(key: &str, texts: &[String]) -> Result<Vec<T>, Complaint> {
    let patterns = texts.iter().map(|text| text.parse());
    let patterns: Result<_, String> = patterns.collect();
    patterns.map_err(|problem| format!("params.{key}: {problem}"))
}

/// What `authorize` or `request` has answered: a `status` with `headers` and a `body`, or without one
/// a WebSocket with a `protocol` and `headers`.
pub fn answer(name: &str, answer: &Plain) -> Result<Answer, Complaint> {
    let empty = Vec::new();
    let table = match answer {
        Plain::Table(table) => table,
        _ => &empty,
    };
    let params = Params::nested(format!("what `{name}` returns"), table);
    let headers = headers(&params)?;
    let Some(status) = params.integer("status", 200, 599)? else {
        let protocol = params.text("protocol")?;
        return Ok(Answer::Accept { protocol, headers });
    };
    Ok(Answer::Response {
        status: status as u16,
        headers,
        body: params.bytes("body")?.unwrap_or_default(),
    })
}
