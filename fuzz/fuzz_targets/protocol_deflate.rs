//! Any bytes to either end, with compression. The first byte chooses the end and the context
//! takeover, the second the window, the third the size of the pieces.
#![no_main]

mod drive;

use libfuzzer_sys::fuzz_target;
use websocket::protocol::{
    Role,
    deflate::{Agreement, Config},
    extension,
};

fuzz_target!(|data: &[u8]| {
    let &[flags, bits, step, ref bytes @ ..] = data else {
        return;
    };
    let role = if flags & 1 == 0 { Role::Client } else { Role::Server };
    let agreement = agree(flags & 2 != 0, 8 + bits % 8);
    drive::check(role, Some(agreement), bytes, usize::from(step).max(1));
});

fn agree(no_context_takeover: bool, window_bits: u8) -> Agreement {
    let config = Config {
        client_no_context_takeover: no_context_takeover,
        server_no_context_takeover: no_context_takeover,
        client_max_window_bits: Some(window_bits),
        server_max_window_bits: Some(window_bits),
        ..Config::default()
    };
    let offer = extension::offer(&config);
    let (agreement, answer) = extension::accept(&offer, &config)
        .expect("our own offer is well-formed")
        .expect("our own offer is acceptable");
    assert_eq!(extension::verify(&answer, Some(&config)), Ok(Some(agreement.clone())));
    agreement
}
