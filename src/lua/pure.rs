//! What the embedded Lua files cannot do for themselves: functions of values alone.

use std::str;

use crate::{error::Error, net::Endpoint};

/// A WebSocket's URL by the rules of the WHATWG URL standard.
pub struct Address {
    /// The URL's serialisation, with the scheme `ws` or `wss`.
    pub href: String,
    /// The ASCII serialisation of its origin.
    pub origin: String,
    /// Its port, or the scheme's default.
    pub port: u16,
}

/// What `text` means as a WebSocket's URL, or why it is none.
pub fn parse_url(text: &[u8]) -> Result<Address, String> {
    let text = str::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())?;
    // A `#` begins the fragment wherever it stands; a WebSocket's URL has none.
    if text.contains('#') {
        return Err(format!("it has a fragment: '{text}'"));
    }
    let endpoint = Endpoint::parse(text).map_err(|error| match error {
        Error::Url(reason) => reason,
        other => other.to_string(),
    })?;
    Ok(Address {
        href: endpoint.url().to_owned(),
        origin: endpoint.origin(),
        port: endpoint.port,
    })
}

/// A number of [0, 1), from a generator that the system seeds.
pub fn random() -> f64 {
    rand::random()
}
