//! A host that opens and closes many Lua states. One test: it counts the threads of the process.

mod host;

use std::path::Path;
use std::time::{Duration, Instant};

use host::{PATIENCE, run_until, state};
use mlua::{Function, Table};

fn entries(directory: &str) -> usize {
    Path::new(directory).read_dir().map_or(0, |all| all.count())
}

/// Threads and descriptors of this process; zeros where the system does not tell.
fn held() -> (usize, usize) {
    (entries("/proc/self/task"), entries("/proc/self/fd"))
}

const FLOODING_SERVER: &str = r#"
    local websocket = require("websocket")
    local server = assert(websocket.listen({ compression = false }, function(_, connection, data)
      if data.event == websocket.EVENT_CONNECTED then
        for _ = 1, 200 do
          connection:send(("x"):rep(100))
        end
      end
    end))
    return server
"#;

const CLIENT: &str = r#"
    local websocket = require("websocket")
    local received = 0
    websocket.connect(..., { compression = false }, function(_, _, data)
      if data.event == websocket.EVENT_MESSAGE then
        received = received + 1
      end
    end)
    return function()
      return received
    end
"#;

#[test]
fn states_open_and_close_while_messages_flow() {
    let before = held();
    {
        let (server_state, serve) = state();
        let server: Table = server_state.load(FLOODING_SERVER).eval().expect("listens");
        let url: String = server.get("url").expect("a server has a URL");
        for _ in 0..200 {
            let (client_state, wait) = state();
            let received: Function = client_state
                .load(CLIENT)
                .call(url.as_str())
                .expect("connects");
            run_until(&[&serve, &wait], "messages", || {
                received.call::<u32>(()).expect("a count") > 10
            });
        }
    }
    // Nothing tells when a thread is gone from there.
    let deadline = Instant::now() + PATIENCE;
    while held() != before {
        assert!(
            Instant::now() < deadline,
            "threads and descriptors: {:?}, before {before:?}",
            held()
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}
