//! Any bytes to either end, without compression. The first byte chooses the end, the second the
//! size of the pieces.
#![no_main]

mod drive;

use libfuzzer_sys::fuzz_target;
use websocket::protocol::Role;

fuzz_target!(|data: &[u8]| {
    let &[role, step, ref bytes @ ..] = data else {
        return;
    };
    let role = if role & 1 == 0 { Role::Client } else { Role::Server };
    drive::check(role, None, bytes, usize::from(step).max(1));
});
