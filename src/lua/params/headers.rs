//! `params.headers`: lines, or a table.

use super::{Complaint, Params, in_sequence, lossy};
use crate::{handshake::check_field, lua::plain::Plain};

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

/// Header fields in their order, each one that may be sent.
pub fn headers(params: &Params) -> Result<Vec<(String, String)>, Complaint> {
    let fields = match params.value("headers") {
        Plain::Nil => Vec::new(),
        Plain::Text(text) => parse_headers(&params.name, &lossy(text))?,
        Plain::Table(table) => header_table(&params.name, table)?,
        other => return Err(params.complain("headers", "a string or a table", other)),
    };
    for (name, value) in &fields {
        check_field(name, value, &OWN_HEADERS)
            .map_err(|error| format!("{}.headers: {error}", params.name))?;
    }
    Ok(fields)
}

/// Lines `Name: value`, as Defold's `headers` has them.
fn parse_headers(owner: &str, text: &str) -> Result<Vec<(String, String)>, Complaint> {
    let text = text.trim_matches(['\r', '\n']);
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let lines = || text.lines();
    if lines().any(str::is_empty) {
        return Err(format!(
            "The header field must not contain double '\\r\\n\\r\\n': '{text}'"
        ));
    }
    lines()
        .map(|line| match line.split_once(':') {
            Some((name, value)) => Ok((name.to_owned(), value.trim().to_owned())),
            None => Err(format!(
                "{owner}.headers: 'Name: value' expected, got '{line}'"
            )),
        })
        .collect()
}

fn header_table(owner: &str, table: &[(Plain, Plain)]) -> Result<Vec<(String, String)>, Complaint> {
    let mut fields = Vec::new();
    for (name, value) in table {
        let Plain::Text(name) = name else {
            return Err(format!(
                "{owner}.headers: a string is expected as a header's name, got a {}",
                name.type_name()
            ));
        };
        let name = lossy(name);
        let values = match value {
            Plain::Table(values) => in_sequence(values),
            value => vec![value],
        };
        for value in values {
            let Plain::Text(text) = value else {
                let got = value.type_name();
                return Err(format!(
                    "{owner}.headers['{name}'] must be a string or a list of strings, got a {got}"
                ));
            };
            fields.push((name.clone(), lossy(text)));
        }
    }
    // A table has no order of its own: the same request every time.
    fields.sort_by(|(left, _), (right, _)| left.cmp(right));
    Ok(fields)
}
