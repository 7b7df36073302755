//! The negotiation of permessage-deflate in `Sec-WebSocket-Extensions` (RFC 6455 section 9.1,
//! RFC 7692 sections 5 and 7.1).

use std::fmt::Write;

use super::deflate::{Agreement, Config, Parameters};

const NAME: &str = "permessage-deflate";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";

/// The window of a peer that names none.
const DEFAULT_WINDOW_BITS: u8 = 15;

/// A header that is not of RFC 6455's grammar, with which the connection must fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The client's offer. It always lets the server choose our window, as browsers do.
pub fn offer(config: &Config) -> String {
    let mut offer = NAME.to_owned();
    append(
        &mut offer,
        CLIENT_NO_CONTEXT_TAKEOVER,
        config.client_no_context_takeover,
    );
    append(
        &mut offer,
        SERVER_NO_CONTEXT_TAKEOVER,
        config.server_no_context_takeover,
    );
    match config.client_max_window_bits {
        Some(bits) => append_bits(&mut offer, CLIENT_MAX_WINDOW_BITS, Some(bits)),
        None => append(&mut offer, CLIENT_MAX_WINDOW_BITS, true),
    }
    append_bits(
        &mut offer,
        SERVER_MAX_WINDOW_BITS,
        config.server_max_window_bits,
    );
    offer
}

/// The server's choice: the first offer it can accept, with its answer; `None` declines them all.
pub fn accept(header: &str, config: &Config) -> Result<Option<(Agreement, String)>, Malformed> {
    let offers = parse(header)?;
    Ok(offers
        .iter()
        .filter(|offer| offer.name == NAME)
        .find_map(|offer| accept_one(offer, config)))
}

/// Whether a header is of the grammar, for a server that has no extension to choose.
pub fn check(header: &str) -> Result<(), Malformed> {
    parse(header).map(|_| ())
}

/// The client's check of the server's answer to `offer(config)`: what is agreed, or the rule that
/// the answer breaks.
pub fn verify(header: &str, config: Option<&Config>) -> Result<Option<Agreement>, &'static str> {
    let Ok(answers) = parse(header) else {
        return Err("the extensions in the answer are malformed (RFC 6455 section 9.1)");
    };
    let (answer, config) = match (answers.as_slice(), config) {
        ([], _) => return Ok(None),
        ([answer], Some(config)) if answer.name == NAME => (answer, config),
        ([first, _, ..], Some(_)) if first.name == NAME => {
            return Err(
                "the server chose more extensions than were offered (RFC 6455 section 4.1)",
            );
        }
        _ => {
            return Err(
                "the server chose an extension that was not offered (RFC 6455 section 4.1)",
            );
        }
    };
    let Some(answer) = Values::read(answer, false) else {
        return Err(
            "the server's permessage-deflate has an illegal parameter (RFC 7692 section 7.1)",
        );
    };
    if !answer.honours(config) {
        return Err(
            "the server's permessage-deflate is not what was offered (RFC 7692 section 7.1)",
        );
    }
    Ok(Some(answer.agree(config)))
}

fn accept_one(offer: &Extension, config: &Config) -> Option<(Agreement, String)> {
    let offer = Values::read(offer, true)?;
    let own = |bits: Option<u8>| {
        bits.unwrap_or(DEFAULT_WINDOW_BITS)
            .clamp(8, DEFAULT_WINDOW_BITS)
    };
    let smallest = |offered: Option<u8>, configured| {
        offered.unwrap_or(DEFAULT_WINDOW_BITS).min(own(configured))
    };
    let server_bits = smallest(offer.server_bits, config.server_max_window_bits);
    // A client that does not speak of its window cannot be told to make it smaller.
    let client_bits = match offer.client_bits {
        Bits::Absent => None,
        Bits::Any => {
            Some(own(config.client_max_window_bits)).filter(|bits| *bits < DEFAULT_WINDOW_BITS)
        }
        Bits::Of(bits) => Some(smallest(Some(bits), config.client_max_window_bits)),
    };
    let values = Values {
        client_no_context_takeover: offer.client_no_context_takeover
            || config.client_no_context_takeover,
        server_no_context_takeover: offer.server_no_context_takeover
            || config.server_no_context_takeover,
        client_bits: client_bits.map_or(Bits::Absent, Bits::Of),
        server_bits: Some(server_bits)
            .filter(|bits| offer.server_bits.is_some() || *bits < DEFAULT_WINDOW_BITS),
    };
    let mut answer = NAME.to_owned();
    append(
        &mut answer,
        CLIENT_NO_CONTEXT_TAKEOVER,
        values.client_no_context_takeover,
    );
    append(
        &mut answer,
        SERVER_NO_CONTEXT_TAKEOVER,
        values.server_no_context_takeover,
    );
    append_bits(&mut answer, CLIENT_MAX_WINDOW_BITS, client_bits);
    append_bits(&mut answer, SERVER_MAX_WINDOW_BITS, values.server_bits);
    Some((values.agree(config), answer))
}

fn append(list: &mut String, name: &str, wanted: bool) {
    if wanted {
        list.push_str("; ");
        list.push_str(name);
    }
}

fn append_bits(list: &mut String, name: &str, bits: Option<u8>) {
    if let Some(bits) = bits {
        // Writing to a String cannot fail.
        let _ = write!(list, "; {name}={}", bits.clamp(8, DEFAULT_WINDOW_BITS));
    }
}

/// The value of `client_max_window_bits`, which an offer may leave out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bits {
    Absent,
    Any,
    Of(u8),
}

/// The parameters of one permessage-deflate, offered or answered.
struct Values {
    client_no_context_takeover: bool,
    server_no_context_takeover: bool,
    client_bits: Bits,
    server_bits: Option<u8>,
}

impl Values {
    /// `None` if a parameter is unknown, repeated, or has a value it must not have.
    fn read(extension: &Extension, is_offer: bool) -> Option<Self> {
        let mut values = Values {
            client_no_context_takeover: false,
            server_no_context_takeover: false,
            client_bits: Bits::Absent,
            server_bits: None,
        };
        for (name, value) in &extension.parameters {
            let value = value.as_deref();
            let fresh = match *name {
                CLIENT_NO_CONTEXT_TAKEOVER if value.is_none() => {
                    !std::mem::replace(&mut values.client_no_context_takeover, true)
                }
                SERVER_NO_CONTEXT_TAKEOVER if value.is_none() => {
                    !std::mem::replace(&mut values.server_no_context_takeover, true)
                }
                CLIENT_MAX_WINDOW_BITS => {
                    let bits = match value {
                        None if is_offer => Bits::Any,
                        _ => Bits::Of(window_bits(value?)?),
                    };
                    std::mem::replace(&mut values.client_bits, bits) == Bits::Absent
                }
                SERVER_MAX_WINDOW_BITS => {
                    values.server_bits.replace(window_bits(value?)?).is_none()
                }
                _ => false,
            };
            if !fresh {
                return None;
            }
        }
        Some(values)
    }

    /// Whether an answer keeps to what was offered with `config`.
    fn honours(&self, config: &Config) -> bool {
        let within = |offered: Option<u8>, answered: Option<u8>| match (offered, answered) {
            (Some(offered), Some(answered)) => answered <= offered.clamp(8, DEFAULT_WINDOW_BITS),
            (Some(_), None) => false,
            (None, _) => true,
        };
        let client_bits = match self.client_bits {
            Bits::Of(bits) => Some(bits),
            _ => config.client_max_window_bits.map(|_| 8),
        };
        (self.server_no_context_takeover || !config.server_no_context_takeover)
            && within(config.server_max_window_bits, self.server_bits)
            && within(config.client_max_window_bits, client_bits)
    }

    fn agree(&self, config: &Config) -> Agreement {
        let client_bits = match self.client_bits {
            Bits::Of(bits) => bits,
            _ => DEFAULT_WINDOW_BITS,
        };
        Agreement {
            level: config.level,
            threshold: config.threshold,
            client: Parameters {
                no_context_takeover: self.client_no_context_takeover,
                window_bits: client_bits,
            },
            server: Parameters {
                no_context_takeover: self.server_no_context_takeover,
                window_bits: self.server_bits.unwrap_or(DEFAULT_WINDOW_BITS),
            },
        }
    }
}

/// RFC 7692 section 7.1.2: 8 to 15, in decimal, without leading zeros.
fn window_bits(value: &str) -> Option<u8> {
    match value {
        "8" => Some(8),
        "9" => Some(9),
        _ if value.len() == 2 => value.parse().ok().filter(|bits| (10..=15).contains(bits)),
        _ => None,
    }
}

/// One extension as the header names it.
struct Extension<'a> {
    name: &'a str,
    parameters: Vec<(&'a str, Option<String>)>,
}

/// RFC 6455 section 9.1's grammar.
fn parse(header: &str) -> Result<Vec<Extension<'_>>, Malformed> {
    let mut rest = Cursor(header);
    let mut extensions = Vec::new();
    loop {
        rest.skip_whitespace();
        // RFC 9110 section 5.6.1: a recipient accepts empty elements of a list.
        if rest.take(',') {
            continue;
        }
        if rest.0.is_empty() {
            return Ok(extensions);
        }
        let name = rest.token()?;
        let mut parameters = Vec::new();
        while rest.take(';') {
            let name = rest.token()?;
            let value = if rest.take('=') {
                Some(rest.value()?)
            } else {
                None
            };
            parameters.push((name, value));
        }
        if !rest.0.is_empty() && !rest.0.starts_with(',') {
            return Err(Malformed);
        }
        extensions.push(Extension { name, parameters });
    }
}

/// The part of a header that is not read yet.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn skip_whitespace(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    /// Takes one character with the whitespace around it.
    fn take(&mut self, wanted: char) -> bool {
        self.skip_whitespace();
        let Some(rest) = self.0.strip_prefix(wanted) else {
            return false;
        };
        self.0 = rest;
        self.skip_whitespace();
        true
    }

    fn token(&mut self) -> Result<&'a str, Malformed> {
        let end = self
            .0
            .bytes()
            .position(|byte| !is_token(byte))
            .unwrap_or(self.0.len());
        // Token characters are ASCII, so the end is between two characters.
        let (token, rest) = self.0.split_at(end);
        if token.is_empty() {
            return Err(Malformed);
        }
        self.0 = rest;
        self.skip_whitespace();
        Ok(token)
    }

    /// A token, or one in quotes.
    fn value(&mut self) -> Result<String, Malformed> {
        let Some(quoted) = self.0.strip_prefix('"') else {
            return self.token().map(str::to_owned);
        };
        let mut value = String::new();
        let mut characters = quoted.chars();
        loop {
            match characters.next() {
                Some('"') => break,
                Some('\\') => value.extend(characters.next()),
                Some(character) => value.push(character),
                None => return Err(Malformed),
            }
        }
        if value.is_empty() || !value.bytes().all(is_token) {
            return Err(Malformed);
        }
        self.0 = characters.as_str();
        self.skip_whitespace();
        Ok(value)
    }
}

/// A character of a token (RFC 9110 section 5.6.2).
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
