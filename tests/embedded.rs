//! The module inside a host written in Rust, on whichever Lua the features choose.

mod host;

use host::{PATIENCE, run_until, state};
use mlua::Lua;

#[cfg(not(feature = "luau"))] // it prints by `io`, which Luau does not have
#[test]
fn the_echo_example_runs() {
    let (lua, wait) = state();
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/echo.lua");
    let frame: mlua::Function = lua
        .load(script)
        .call((None::<String>, true))
        .expect("examples/echo.lua runs");
    run_until(&[&wait], "the end of examples/echo.lua", || {
        frame
            .call::<bool>(0.0)
            .expect("frame says whether it is done")
    });
}

#[test]
fn the_objects_and_coroutines_talk_to_a_server() {
    let (lua, wait) = state();
    lua.load(
        r#"
        local websocket = require("websocket")
        local server = websocket.WebSocketServer({ host = "127.0.0.1" })
        server.newConnection:connect(function(client)
          client.onmessage = function(event)
            client:send(event.data)
          end
        end)
        answers = {}
        local object = websocket.WebSocket(server.url)
        object.onopen = function()
          object:send("from an object")
        end
        object.onmessage = function(event)
          table.insert(answers, event.data)
          object:close()
        end
        coroutine.wrap(function()
          local connection = assert(websocket.open(server.url))
          connection:send("from a coroutine", { type = websocket.DATA_TYPE_TEXT })
          table.insert(answers, (connection:receive(20000)))
          connection:disconnect()
          connection:receive()
          server:close()
        end)()
        "#,
    )
    .exec()
    .expect("they begin");
    run_until(&[&wait], "two answers", || {
        let count = lua.load("return #answers").eval::<u32>();
        count.expect("a count") == 2
    });
    let mut answers = lua
        .load("return answers")
        .eval::<Vec<String>>()
        .expect("two texts");
    answers.sort();
    assert_eq!(answers, ["from a coroutine", "from an object"]);
}

#[test]
fn states_do_not_see_each_other() {
    let (first, first_wait) = state();
    let (second, second_wait) = state();
    for lua in [&first, &second] {
        lua.load(
            r#"
            ended = 0
            require("websocket").connect("no url", nil, function(_, _, data)
              if data.event == require("websocket").EVENT_DISCONNECTED then
                ended = ended + 1
              end
            end)
            "#,
        )
        .exec()
        .expect("connects");
    }
    let ended = |lua: &Lua| lua.globals().get::<u32>("ended").expect("a count");
    run_until(&[&first_wait], "the first state's end", || {
        ended(&first) == 1
    });
    assert_eq!(ended(&second), 0);
    run_until(&[&second_wait], "the second state's end", || {
        ended(&second) == 1
    });
}

#[test]
fn a_state_has_one_module() {
    let (lua, _) = state();
    let again = websocket::open(&lua).expect("opens again");
    let same: bool = lua
        .load("return ... == require('websocket')")
        .call(again)
        .expect("compares");
    assert!(same);
}

#[test]
fn an_error_of_a_callback_reaches_the_host_with_its_traceback() {
    let (lua, wait) = state();
    lua.load(
        r#"
        require("websocket").connect("no url", nil, function()
          error("on purpose")
        end)
        "#,
    )
    .set_name("=script")
    .exec()
    .expect("connects");
    let problem = wait
        .call::<u32>(PATIENCE.as_millis())
        .expect_err("the callback raises")
        .to_string();
    assert!(problem.contains("script:3: on purpose"), "{problem}");
    assert!(problem.contains("stack traceback"), "{problem}");
}

#[test]
fn a_host_prepares_for_each_callback() {
    let (lua, wait) = state();
    lua.load(
        r#"
        local websocket = require("websocket")
        called = {}
        function websocket.oncallback(callback, self, connection, data)
          called[#called + 1] = "before"
          callback("instance", connection, data)
        end
        websocket.connect("no url", nil, function(self)
          called[#called + 1] = self
        end)
        "#,
    )
    .exec()
    .expect("connects");
    let called = || lua.globals().get::<Vec<String>>("called").expect("strings");
    run_until(&[&wait], "two events", || called().len() == 4);
    assert_eq!(called(), ["before", "instance", "before", "instance"]);
}
