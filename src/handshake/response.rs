//! Answers that a host makes: to requests that ask for no WebSocket, or get none.

use tungstenite::http::StatusCode;

use super::head::append;

/// Header fields that tell where a message ends or what becomes of its connection: our own.
pub const OWN_HEADERS: [&str; 10] = [
    "connection",
    "content-length",
    "keep-alive",
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// An answer as bytes (RFC 9112 section 4). `status` has three digits.
pub fn response(
    status: u16,
    headers: &[(String, String)],
    body: &[u8],
    is_head: bool,
    keeps_alive: bool,
) -> Vec<u8> {
    let name = StatusCode::from_u16(status).ok();
    let name = name.and_then(|it| it.canonical_reason()).unwrap_or("");
    let mut out = format!("HTTP/1.1 {status} {name}\r\n").into_bytes();
    let has = |name: &str| {
        headers
            .iter()
            .any(|(other, _)| other.eq_ignore_ascii_case(name))
    };
    for (name, value) in headers {
        append(&mut out, name, value);
    }
    let mut connection = if keeps_alive { "keep-alive" } else { "close" };
    if status == 426 {
        // RFC 9110 section 15.5.22, RFC 6455 section 4.4.
        append(&mut out, "Upgrade", "websocket");
        append(&mut out, "Sec-WebSocket-Version", "13");
        connection = if keeps_alive {
            "keep-alive, Upgrade"
        } else {
            "close, Upgrade"
        };
    }
    append(&mut out, "Connection", connection);
    // RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5: these have no content.
    let body = if matches!(status, 204 | 205 | 304) {
        &[]
    } else {
        body
    };
    if !body.is_empty() && !has("Content-Type") {
        append(&mut out, "Content-Type", "text/plain; charset=utf-8");
    }
    if !matches!(status, 204 | 304) {
        append(&mut out, "Content-Length", &body.len().to_string());
    }
    out.extend_from_slice(b"\r\n");
    if !is_head {
        out.extend_from_slice(body);
    }
    out
}
