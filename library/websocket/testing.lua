---@meta websocket.testing

---A kit for tests of scripts that use this module: `require("websocket.testing")`, after
---`require("websocket")`. A failure is an error at the caller's line: busted, luaunit and plain
---asserts all take it as one. What waits has events delivered meanwhile.
---@class websocket.testing
local testing = {}

---@class websocket.testing.options
---@field timeout? number milliseconds that the kit waits for what is expected; 5000
---@field step? fun() what else is called while it waits: a game's frame
---@field leaks? boolean whether `finish` looks for what was left behind; true

---Before a test. A test that was begun and has not come to its end is ended.
---@param options? websocket.testing.options
function testing.begin(options) end

---After a test, whether it has failed or not: ends what the kit began. Raises where a listener or a
---script has raised, a script still waits, or the test has left something behind.
function testing.finish() end

---A whole test: `begin(options)`, `body()`, `finish()`.
---@param body fun()
---@param options? websocket.testing.options
function testing.case(body, options) end

---Raises where the test has left connections, servers or timers behind, or threads or descriptors of
---this process (on Linux), and ends them. Ends what the kit began. `finish` does it, too.
function testing.check_leaks() end

---Has events delivered until `condition()` returns something true, and returns that. Raises when the
---time is over, or a listener or a script has raised meanwhile.
---@generic T
---@param condition fun(): T
---@param what? string what is waited for, said where it does not come
---@param timeout_ms? number
---@return T
function testing.wait_for(condition, what, timeout_ms) end

---Runs for each client in a coroutine of its own, in which what waits yields.
---@alias websocket.testing.script fun(client: websocket.testing.client, request: websocket.request)

---A server on 127.0.0.1 that the test scripts, behind a network that it disturbs. `params` are those
---of `listen`, but where to listen, and `self`.
---@param params? websocket.listen_params
---@param script? websocket.testing.script
---@return websocket.testing.server
function testing.server(params, script) end

---A network in front of any server of this machine: clients connect to its `url`.
---@param url string ws:// or wss:// with an address in numbers, or localhost, and a port
---@return websocket.testing.relay
function testing.relay(url) end

---The clock stands still from now on, until it is moved: `websocket.now()`, and with it the delays and
---`minUptime` of every ReconnectingWebSocket and the timeouts of coroutines. `params` such as
---`timeout` and `ping_interval`, and whoever waits outside of a coroutine, keep to the clock on the
---wall.
---@return websocket.testing.clock
function testing.clock() end

---A server that a test scripts.
---@class websocket.testing.server
---@field url string where clients connect to: "ws://127.0.0.1:PORT", or wss:// with `params.tls`
---@field port integer the one that it has chosen
---@field clients websocket.testing.client[] all that have connected, in order
---@field requests websocket.asked[] all that have asked to connect, in order
local server = {}

---The next client that has connected.
---@param timeout_ms? number
---@return websocket.testing.client
function server:accept(timeout_ms) end

---From now on whoever asks to connect gets this answer.
---@param status integer 200 to 599
---@param headers? table<string, string|number|(string|number)[]>
---@param body? string
function server:refuse(status, headers, body) end

---From now on whoever asks to connect gets these bytes in place of the handshake's answer: what
---speaks another protocol, half an answer, or nothing. They are not encrypted: a client of a server
---with `tls` fails in the stage "tls".
---@param bytes? string|fun(request: websocket.asked): string at most 65536 bytes; without it some that no answer begins with
---@param after? "end"|"silence" what comes behind them: the end of the stream, or with "silence" nothing, so that the client waits for more
function server:garbage(bytes, after) end

---The end of `refuse` and of `garbage`.
function server:allow() end

---What happens to the bytes of a direction. Without anything: nothing.
---@class websocket.testing.direction
---@field latency? number milliseconds that they are late; 3600000 at most
---@field jitter? number up to so many milliseconds more, at random; none overtakes another
---@field bandwidth? integer bytes a second
---@field cut_after? integer after so many more bytes the connection drops
---@field reset? boolean by a reset, and not by the end of the stream
---@field stalled? boolean nothing passes, not even the end

---What happens to the bytes of both directions.
---@class websocket.testing.trouble: websocket.testing.direction
---@field to_server? websocket.testing.direction what is different for the bytes of clients
---@field to_client? websocket.testing.direction what is different for the bytes of the server

---From now on this happens to what passes between clients and server, and nothing else, also to what
---is on its way. It counts bytes of the network: frames with their headers, compressed where that was
---agreed.
---@param trouble? websocket.testing.trouble nil: none
function server:network(trouble) end

---Ends all connections without a Close: "end", as if the server's process were killed, or "reset".
---What is on its way is lost.
---@param how? "end"|"reset"
function server:drop(how) end

---As if the server's machine were off: all connections drop, and the port refuses.
---@param how? "end"|"reset"
function server:down(how) end

---The end of `down`, at the same address.
function server:up() end

---Says Close to all, and listens no more.
---@param code? integer 1001
---@param reason? string
function server:close(code, reason) end

---Whether all connections have ended.
---@return boolean
function server:is_over() end

---A client, as the server sees it.
---@class websocket.testing.client
---@field connection websocket.connection the server's side
---@field request websocket.request what it asked to connect with
---@field messages string[] all that have come, in order
---@field types (1|2)[] their DATA_TYPE_*
---@field closed? websocket.event the data of DISCONNECTED
local client = {}

---The next message, which must be this one; or one for which `expected(message, type)` returns
---something true. Without either it is any. What is not expected stays the next.
---@param expected? string|fun(message: string, type: 1|2): any
---@param timeout_ms? number
---@return string message
---@return 1|2 type
function client:expect(expected, timeout_ms) end

---The next message, which a pattern must match.
---@param pattern string
---@param timeout_ms? number
---@return string ... the captures, or the match
function client:expect_match(pattern, timeout_ms) end

---The first message that is this one, or for which the function returns something true. Those before
---it are taken, too.
---@param expected string|fun(message: string, type: 1|2): any
---@param timeout_ms? number
---@return string message
---@return 1|2 type
function client:skip_to(expected, timeout_ms) end

---Waits for the end of the connection. No message may come before it.
---@param code? integer the close code that it must have
---@param timeout_ms? number
---@return websocket.event data of DISCONNECTED
function client:expect_close(code, timeout_ms) end

---As the connection's own.
---@param message string|number
---@param options? websocket.send_options
function client:send(message, options) end

---Expects a message, and sends one.
---@param expected? string|fun(message: string, type: 1|2): any
---@param reply string|number
---@param options? websocket.send_options
---@return string message
---@return 1|2 type
function client:answer(expected, reply, options) end

---Sends Close.
---@param code? integer 1000
---@param reason? string
function client:close(code, reason) end

---As the server's, for this connection alone.
---@param how? "end"|"reset"
function client:drop(how) end

---Sends bytes that are no frame, behind what was sent.
---@param bytes? string at most 65536 bytes; without it some that no frame begins with
function client:garbage(bytes) end

---Waits, by the clock on the wall.
---@param ms number
function client:delay(ms) end

---As the server's, for this connection alone.
---@param trouble? websocket.testing.trouble
function client:network(trouble) end

---Whether the server may still send to it.
---@return boolean
function client:is_open() end

---A network in front of a server.
---@class websocket.testing.relay
---@field url string where clients connect to, instead of to the server's own
---@field port integer the one that it has chosen
local relay = {}

---As a testing server's.
---@param trouble? websocket.testing.trouble nil: none
function relay:network(trouble) end

---As a testing server's.
---@param how? "end"|"reset"
function relay:drop(how) end

---As a testing server's.
---@param how? "end"|"reset"
function relay:down(how) end

---The end of `down`, at the same address.
function relay:up() end

---Drops all connections, and is gone.
function relay:close() end

---A clock that stands still.
---@class websocket.testing.clock
local clock = {}

---Moves it. What comes due rings meanwhile, in order, each at its own time.
---@param ms number
function clock:advance(ms) end

---The time, which is also `websocket.now()`'s while the clock stands still.
---@return number ms
function clock:now() end

---How long until something is due; nil: nothing waits.
---@return number? ms
function clock:next() end

---It goes on by itself.
function clock:release() end

return testing
