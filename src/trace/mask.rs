//! What a trace does not show: credentials where HTTP and URLs have them.
//!
//! Of header fields the value, where the name speaks of one (`Authorization`, `Cookie`, `X-Api-Key`);
//! of a URL user and password, and of its query each value whose name speaks of a secret or that is
//! as long as a token. What a script sends in messages is its own, and is shown.

use super::Field;
use crate::error::Error;

/// What stands in a secret's place.
const MASK: &str = "***";

/// A value of the query that has so many bytes may be a token, whatever its name.
const TOKEN: usize = 20;

/// A name that contains one of these is a secret's.
const SECRETS: [&str; 12] = [
    "auth",
    "cookie",
    "token",
    "secret",
    "passw",
    "pwd",
    "api-key",
    "apikey",
    "api_key",
    "credential",
    "session",
    "signature",
];

/// A name in a query that is one of these is a secret's.
const SHORT_SECRETS: [&str; 8] = [
    "key", "pass", "sig", "code", "jwt", "sid", "ticket", "access",
];

/// A copy of header fields, without secrets.
pub fn headers(fields: &[Field]) -> Vec<Field> {
    let masked = |(name, value): &Field| (name.clone(), header(name, value));
    fields.iter().map(masked).collect()
}

fn header(name: &str, value: &[u8]) -> Vec<u8> {
    let lower = name.to_ascii_lowercase();
    match lower.as_str() {
        "location" | "referer" | "content-location" => {
            url(&String::from_utf8_lossy(value)).into_bytes()
        }
        // Browsers have no other place for a token than a subprotocol.
        "sec-websocket-protocol" => {
            let text = String::from_utf8_lossy(value);
            let each = text.split(',').map(|it| match it.trim().len() >= TOKEN {
                true => MASK,
                false => it.trim(),
            });
            each.collect::<Vec<_>>().join(", ").into_bytes()
        }
        // Challenges, no answers.
        "www-authenticate" | "proxy-authenticate" => value.to_vec(),
        _ if speaks_of_secret(&lower) => MASK.as_bytes().to_vec(),
        _ => value.to_vec(),
    }
}

/// A URL, or a path with its query, without secrets. It need not be a valid one.
pub fn url(text: &str) -> String {
    let text = text.split('#').next().unwrap_or(text);
    let (front, query) = match text.split_once('?') {
        Some((front, query)) => (front, Some(query)),
        None => (text, None),
    };
    let mut masked = without_user(front);
    if let Some(query) = query {
        masked.push('?');
        let pairs: Vec<_> = query.split('&').map(pair).collect();
        masked.push_str(&pairs.join("&"));
    }
    masked
}

fn without_user(front: &str) -> String {
    let start = front.find("//").map_or(0, |at| at + 2);
    let end = front[start..]
        .find(['/', '\\'])
        .map_or(front.len(), |at| start + at);
    match front[start..end].rfind('@') {
        Some(at) => format!("{}{MASK}{}", &front[..start], &front[start + at..]),
        None => front.to_owned(),
    }
}

fn pair(pair: &str) -> String {
    let (name, value) = pair.split_once('=').unwrap_or(("", pair));
    let lower = name.to_ascii_lowercase();
    let is_secret = value.len() >= TOKEN
        || !value.is_empty()
            && (speaks_of_secret(&lower) || SHORT_SECRETS.contains(&lower.as_str()));
    match (is_secret, name) {
        (false, _) => pair.to_owned(),
        (true, "") => MASK.to_owned(),
        (true, name) => format!("{name}={MASK}"),
    }
}

fn speaks_of_secret(lower: &str) -> bool {
    SECRETS.iter().any(|secret| lower.contains(secret))
}

/// An error's words. Those of a URL that cannot be used quote it.
pub fn error(error: &Error) -> String {
    let text = error.to_string();
    match matches!(error, Error::Url(_)) && (text.contains('@') || text.contains('?')) {
        true => "the URL cannot be used (it may have credentials, so it is not shown)".to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_show_no_credentials() {
        for (given, shown) in [
            (
                "ws://example.org/chat?room=5",
                "ws://example.org/chat?room=5",
            ),
            (
                "wss://user:p%40ss@example.org:8/a",
                "wss://***@example.org:8/a",
            ),
            (
                "wss://a@b@example.org?access_token=x&room=5",
                "wss://***@example.org?access_token=***&room=5",
            ),
            ("/chat?key=1&Auth=2&page=3", "/chat?key=***&Auth=***&page=3"),
            ("/chat?t=01234567890123456789&u=", "/chat?t=***&u="),
            ("/chat?01234567890123456789", "/chat?***"),
            ("/chat?short", "/chat?short"),
            ("ws://example.org/a@b#fragment", "ws://example.org/a@b"),
            ("user:secret@example.org", "***@example.org"),
            ("", ""),
        ] {
            assert_eq!(url(given), shown, "{given}");
        }
    }

    #[test]
    fn headers_show_no_credentials() {
        for (name, value, shown) in [
            ("Authorization", "Basic dXNlcjpwYXNz", "***"),
            ("proxy-authorization", "x", "***"),
            ("Cookie", "a=b", "***"),
            ("Set-Cookie", "a=b; HttpOnly", "***"),
            ("X-API-Key", "1", "***"),
            ("X-Auth-Token", "1", "***"),
            ("WWW-Authenticate", "Bearer", "Bearer"),
            ("Host", "example.org", "example.org"),
            (
                "Sec-WebSocket-Key",
                "dGhlIHNhbXBsZSBub25jZQ==",
                "dGhlIHNhbXBsZSBub25jZQ==",
            ),
            (
                "Sec-WebSocket-Protocol",
                "chat, eyJhbGciOiJIUzI1NiJ9.e30",
                "chat, ***",
            ),
            (
                "Location",
                "https://a:b@example.org/?code=1",
                "https://***@example.org/?code=***",
            ),
        ] {
            let masked = headers(&[(name.to_owned(), value.as_bytes().to_vec())]);
            assert_eq!(masked[0].1, shown.as_bytes(), "{name}");
        }
    }

    #[test]
    fn an_error_quotes_no_credentials() {
        let shown = error(&Error::Url(
            "it has no host: 'ws://user:secret@'".to_owned(),
        ));
        assert!(
            !shown.contains("secret") && shown.contains("URL"),
            "{shown}"
        );
        let plain = error(&Error::Url("it has no host: 'ws:'".to_owned()));
        assert!(plain.contains("ws:"), "{plain}");
    }
}
