---@meta websocket

---WebSockets for Lua: `local websocket = require("websocket")`.
---@class websocket
---@field _VERSION string the name and version of the module
---@field EVENT_CONNECTED 0
---@field EVENT_DISCONNECTED 1
---@field EVENT_MESSAGE 2
---@field EVENT_ERROR 3
---@field DATA_TYPE_TEXT 1
---@field DATA_TYPE_BINARY 2
---@field CLOSE_NORMAL 1000
---@field CLOSE_GOING_AWAY 1001
---@field CLOSE_PROTOCOL_ERROR 1002
---@field CLOSE_DATATYPE_NOT_SUPPORTED 1003
---@field CLOSE_RESERVED_1004 1004
---@field CLOSE_MISSING_STATUS_CODE 1005
---@field CLOSE_ABNORMAL_DISCONNECTION 1006
---@field CLOSE_WRONG_DATATYPE 1007
---@field CLOSE_POLICY_VIOLATED 1008
---@field CLOSE_TOO_MUCH_DATA 1009
---@field CLOSE_MISSING_EXTENSION 1010
---@field CLOSE_BAD_OPERATION 1011
---@field CLOSE_TLS_HANDSHAKE_FAILED 1015
---@field ERROR_UNKNOWN -1
---@field ERROR_CONNECTION_REFUSED 0
---@field ERROR_REMOTE_HOST_CLOSED 1
---@field ERROR_HOST_NOT_FOUND 2
---@field ERROR_SOCKET_ACCESS 3
---@field ERROR_SOCKET_RESOURCE 4
---@field ERROR_SOCKET_TIMEOUT 5
---@field ERROR_DATAGRAM_TOO_LARGE 6
---@field ERROR_NETWORK 7
---@field ERROR_ADDRESS_IN_USE 8
---@field ERROR_SOCKET_ADDRESS_NOT_AVAILABLE 9
---@field ERROR_UNSUPPORTED_SOCKET_OPERATION 10
---@field ERROR_PROXY_AUTHENTICATION_REQUIRED 11
---@field ERROR_SSL_HANDSHAKE_FAILED 12
---@field ERROR_UNFINISHED_SOCKET_OPERATION 13
---@field ERROR_PROXY_CONNECTION_REFUSED 14
---@field ERROR_PROXY_CONNECTION_CLOSED 15
---@field ERROR_PROXY_CONNECTION_TIMEOUT 16
---@field ERROR_PROXY_NOT_FOUND 17
---@field ERROR_PROXY_PROTOCOL 18
---@field ERROR_OPERATION 19
---@field ERROR_SSL_INTERNAL 20
---@field ERROR_SSL_INVALID_USER_DATA 21
---@field ERROR_TEMPORARY 22
---@field WebSocket websocket.WebSocketClass the browser's object
---@field WebSocketServer websocket.WebSocketServerClass a server of such objects
---@field ReconnectingWebSocket websocket.ReconnectingWebSocketClass one that comes back
---@field trace websocket.trace_module what a trace is good for beside being printed
---@field EventTarget websocket.EventTargetClass listeners by type of event, for objects of your own
---Called with what a listener of the browser-style objects raised, and with its text and
---traceback; nil, the default, prints them to stderr. In Neovim they go to `vim.notify`. The
---listeners after it are called all the same, and nothing leaves `update`.
---@field onuncaughterror? fun(problem: any, traceback: string)
---Calls a connection's callback. A host that must prepare its script instance replaces it.
---@field oncallback fun(callback: websocket.callback, self: any, connection: websocket.connection, data: websocket.event)
---Called before a connection, a server or a timer begins: `object[ending](object)` ends it. `params`,
---of the first two, is a copy that may be changed. The function that it returns is called instead
---of the callback; nil and a text refuse, and are raised. A host that must know its script instance
---replaces it.
---@field onbegin fun(callback: function, object: table, ending: "disconnect"|"close"|"cancel", params?: table): function?, string?
local websocket = {}

---"closing" is also what failed, until its DISCONNECTED.
---@alias websocket.state "connecting"|"open"|"closing"|"closed"
---In which part of a connection's life it failed, in their order.
---@alias websocket.stage "resolve"|"connect"|"proxy"|"tls"|"handshake"|"open"|"close"
---Called in `update`. What it raises leaves `update`, with a traceback; the events after it come
---with the next. `self` is `params.self`.
---@alias websocket.callback fun(self: any, connection: websocket.connection, data: websocket.event)
---Header lines separated by `\r\n`, or names and their value or values.
---@alias websocket.headers string|table<string, string|number|(string|number)[]>

---@class websocket.params
---@field timeout? number milliseconds for DNS, TCP, proxy, TLS and handshake together; 3000
---@field protocol? string|string[] subprotocols to offer, most wanted first; none
---@field headers? websocket.headers more headers of the request; none
---@field self? any the callback's first argument; nil
---@field compression? boolean|websocket.compression permessage-deflate; true
---@field max_message_size? integer bytes; a larger one ends the connection with 1009; 64 MiB
---@field max_receive_queue? integer undelivered bytes at which reading pauses; 16 MiB
---@field max_send_queue? integer bytes; `send` beyond it raises; 64 MiB
---@field ping_interval? number milliseconds between pings; off
---@field ping_timeout? number milliseconds without an answer that end the connection; 20000
---@field close_timeout? number milliseconds to wait for the peer's Close; 3000
---@field delay? number milliseconds to wait before dialling; 0
---@field linger? boolean after `disconnect` messages still come until the peer's Close, whose code DISCONNECTED has; false
---@field tls? websocket.tls for `wss`; certificates are verified against the system's issuers
---@field proxy? string|boolean `http://` or `socks5://`, with `user:password@`; false for none; the environment's
---@field trace? websocket.trace what the connection does, step by step: a function that is called with each entry, or the path of a file that gets a line for each; none

---Who is told what a connection does: a function, in `update`, in order with the messages; a file,
---which is appended to, its owner's alone, and written by a thread of its own; or either with
---`websocket.trace_options`. Secrets are masked where HTTP and URLs have them; payloads are shown. What
---the function raises leaves `update`, or goes to `onuncaughterror`, as of any listener. HTML5 builds
---have none: the browser's own tools show it.
---@alias websocket.trace string|fun(entry: websocket.trace_entry)|websocket.trace_options|websocket.Har

---How a connection is traced. Either `entry` or `file`.
---@class websocket.trace_options
---@field entry? fun(entry: websocket.trace_entry) called with each
---@field file? string the path of a file that gets a line for each
---@field payload? integer bytes that are shown of each payload, at most; 128
---@field max_queue? integer bytes of entries that wait, beyond which they are left out, and counted; 4 MiB

---Something that a connection has done, or that happened to it. Which fields there are beside the
---first ones, `stage` says.
---@class websocket.trace_entry
---@field stage "begin"|"resolve"|"connect"|"proxy"|"tls"|"handshake"|"frame"|"stall"|"resume"|"error"|"close"|"dropped" what it is about
---@field text string all of it as a line for people
---@field time number milliseconds since the connection was asked for
---@field at number seconds since 1970, by the system's clock
---@field connection websocket.connection whose it is
---@field took? number resolve, connect, proxy, tls, handshake, resume: milliseconds that the stage has taken, or that bytes have waited
---@field url? string begin: the connection's
---@field host? string resolve: the name; tls: whose certificate was verified
---@field addresses? string[] resolve: in the order in which they are tried
---@field address? string connect: the peer's address and port, or the path of its Unix socket; proxy: its host and port
---@field target? string proxy: host and port behind it
---@field request? { path: string, headers: table<string, string> } handshake, the first: what is asked for
---@field response? { status: integer, headers: table<string, string> } handshake, the second: what the server answers
---@field direction? "sent"|"received" frame, stall, resume: whose; close: who began it, if anybody
---@field opcode? integer frame: 0 continues, 1 is text, 2 binary, 8 Close, 9 Ping, 10 Pong
---@field fin? boolean frame: the last of its message
---@field compressed? boolean frame: its message is
---@field kind? "text"|"binary" frame: what its message is, of those with data
---@field length? integer frame: bytes of the payload on the wire
---@field size? integer frame: the same after inflation; nil where that failed
---@field payload? string frame: the beginning of it, inflated
---@field cut? boolean frame: `payload` is not all of it
---@field cause? "paused"|"host"|"network" stall: the script has paused the connection; `max_receive_queue` of messages wait for it; the network takes no more
---@field during? websocket.stage error: where the connection failed
---@field error? integer error: `ERROR_*`
---@field message? string error: in words
---@field code? integer close: as of DISCONNECTED
---@field reason? string close: as of DISCONNECTED
---@field clean? boolean close: as of DISCONNECTED
---@field count? integer dropped: entries that are missing here, since what reads the trace was too slow

---@class websocket.trace_module
local trace = {}

---A file that the tools of browsers open (HAR 1.2, with Chromium's `_webSocketMessages`), for
---`params.trace` of any number of connections. It is made at once, and written by `save` and `close`,
---and when nobody has it any more or the Lua state closes.
---@param path string
---@param options? websocket.har_options
---@return websocket.Har? har nil where the file cannot be written
---@return string? problem why
function trace.har(path, options) end

---@class websocket.har_options
---@field payload? integer bytes that are kept of each message, at most; 64 KiB
---@field limit? integer bytes of all messages, beyond which they are left out, and counted; 64 MiB

---@class websocket.Har
local Har = {}

---Writes all that has come so far.
---@return true? written nil where that fails
---@return string? problem why
function Har:save() end

---Writes all that has come, and takes no more.
---@return true? written nil where that fails
---@return string? problem why
function Har:close() end

---permessage-deflate (RFC 7692). A peer that does not offer it gets none.
---@class websocket.compression
---@field level? integer 1, fast, to 9, small; 1
---@field threshold? integer bytes under which a message is not compressed; 64
---@field client_no_context_takeover? boolean the client compresses each message by itself: less memory, more bytes; false
---@field server_no_context_takeover? boolean the same of the server; false
---@field client_max_window_bits? integer 8 to 15, how far back the client's compressor may point; 15
---@field server_max_window_bits? integer the same of the server; 15

---PEM text or a file's path, wherever a certificate or a key is asked for. Files are read when a
---connection starts.
---@class websocket.tls
---@field ca? string the issuers to trust instead of the system's
---@field certificate? string our own, with its chain; or PKCS#12, whose password is `key`
---@field key? string our private key, not encrypted; it may stand in `certificate`
---@field server_name? string to ask for and to verify instead of the URL's host
---@field min_version? "1.0"|"1.1"|"1.2"|"1.3" the oldest TLS that will do; "1.2"
---@field pins? string|string[] SHA-256 of the server's SubjectPublicKeyInfo, one of which must be the server's: Base64, with or without `sha256/`, or hex
---@field dangerously_skip_verification? boolean accepts any certificate; false

---@class websocket.listen_params
---@field host? string the address or name to listen on: "0.0.0.0" is all of IPv4, "::" all; "127.0.0.1"
---@field port? integer 0 is a free one, which `server.port` tells; 0
---@field unix? string path of a Unix socket, in place of `host` and `port`; its file goes when the server is closed
---@field unix_mode? string who may connect to it, in octal digits as for chmod; "600"
---@field protocols? string|string[] subprotocols that the server speaks; none
---@field headers? websocket.headers more headers of the answer; none
---@field self? any the callback's first argument; nil
---@field tls? websocket.identity makes it `wss`; none
---@field origins? string|string[] the pages that may connect, others get 403: "https://example.org", "*.example.org", "localhost:*", "*" for all but "null"; the server's own
---@field allow_any_origin? boolean lets in every page, with its user's cookies; false
---@field hosts? string|string[] the names by which the server may be addressed, other requests get 403: "example.org", "*.example.org", with `:port` or for any; on a loopback address this machine's own names, else all
---@field authorize? websocket.authorize who gets a WebSocket; without it all do
---@field request? websocket.answer what GET and HEAD get; without it 426
---@field max_connections? integer of those that are open: further clients are answered with 503; no limit
---@field max_handshakes? integer clients on their way in; the oldest makes room when half a second has passed; 1024
---@field workers? integer threads that share the connections; one less than the cores, 1 to 4
---@field backlog? integer clients that the system keeps waiting; as many as it can
---@field timeout? number milliseconds for a client's handshake, and for `listen` itself to read its files and to resolve its host; 3000
---@field compression? boolean|websocket.compression permessage-deflate; true
---@field max_message_size? integer bytes; a larger one ends the connection with 1009; 64 MiB
---@field max_receive_queue? integer undelivered bytes at which reading pauses; 16 MiB
---@field max_send_queue? integer bytes; `send` beyond it raises; 64 MiB
---@field ping_interval? number milliseconds between pings; off
---@field ping_timeout? number milliseconds without an answer that end the connection; 20000
---@field close_timeout? number milliseconds to wait for the peer's Close; 3000

---A server's own certificate.
---@class websocket.identity
---@field certificate string with its chain: PEM text or a file's path
---@field key string its private key, not encrypted: PEM text or a file's path
---@field client_ca? string the issuers of the certificates that clients must show; without it they are asked for none. On macOS and Windows an error

---A client that asks for a WebSocket or, with the server's `request`, for what is at a path.
---@class websocket.asked
---@field method "GET"|"HEAD" a WebSocket is always asked for by GET
---@field path string as the client wrote it, without the query
---@field query table<string, string> decoded; of a repeated name the last
---@field headers table<string, string> as sent; names in lower case are found, too
---@field remote_address string address and port
---@field protocols? string[] the subprotocols that it offers, most wanted first
---@field certificate? string the client's, in PEM, where the server has `tls.client_ca`

---What `authorize` may say behind `true`.
---@class websocket.acceptance
---@field protocol? string one that the client offers, instead of the server's choice
---@field headers? websocket.headers more headers of this answer
---@field user? any who it is: CONNECTED has it as `data.request.user`

---Called in `update`, before anything else of the client is heard. True lets it in, with an
---acceptance or without; false is 403. Or a status from 200 to 599, and what belongs to it. An
---error is 500 to the client, and leaves `update`.
---@alias websocket.authorize fun(request: websocket.asked): boolean|integer, (websocket.acceptance|websocket.headers)?, (string|number)?

---Called in `update`. A status from 200 to 599, headers and a body; nil is 404. To HEAD the body is
---not sent. Without a `Content-Type` it is plain text in UTF-8. An error is 500 to the client, and
---leaves `update`.
---@alias websocket.answer fun(request: websocket.asked): integer?, websocket.headers?, (string|number)?

---What happened: a fresh table for each event.
---@class websocket.event
---@field event 0|1|2|3 EVENT_*
---@field message string the payload; the error's text; the reason of the close; or ""
---@field type? 1|2 MESSAGE: DATA_TYPE_*
---@field code? integer DISCONNECTED: the close code
---@field reason? string DISCONNECTED: the same as `message`
---@field clean? boolean DISCONNECTED: both sides sent Close, or the script has left by `disconnect`
---@field error? integer ERROR: what went wrong, ERROR_*
---@field stage? websocket.stage ERROR: where
---@field handshake_response? websocket.handshake_response CONNECTED: the server's answer; ERROR: its answer, where it was not the right one
---@field request? websocket.request CONNECTED at a server: what the client asked for

---A server's answer to the handshake.
---@class websocket.handshake_response
---@field status integer the HTTP status: 101, or why not
---@field headers table<string, string> as sent; names in lower case are found, too
---@field response string the body, up to 64 KiB of it

---What a client of a server asked for.
---@class websocket.request
---@field path string with its query, as the client wrote it
---@field headers table<string, string> as sent; names in lower case are found, too
---@field remote_address string address and port
---@field user? any what `authorize` says of it

---@class websocket.connection
---@field url string as it was given; at a server the client's path
---@field protocol string the subprotocol, or ""
---@field extensions string what was agreed on, e.g. "permessage-deflate"; "" until it is open
---@field remote_address? string address and port, once it is known
local connection = {}

---@class websocket.send_options
---@field type? 1|2 DATA_TYPE_*; binary by default
---@field latest? string|number what the message is about: it takes the place of one with the same key that has not left, and what is sent later may overtake it

---Starts connecting and returns at once. Misuse raises; failure is an ERROR event.
---@param url string `ws://` or `wss://`; for a Unix socket `ws+unix:/path/to/socket:/resource`
---@param params? websocket.params
---@param callback websocket.callback called with every event of it
---@return websocket.connection
function websocket.connect(url, params, callback) end

---Queues one message. Raises where the connection is not open, where a text is not UTF-8, and where
---`max_send_queue` has no room; then nothing of it is sent.
---@param connection websocket.connection
---@param message string|number the payload
---@param options? websocket.send_options
function websocket.send(connection, message, options) end

---Sends what is queued, then Close. DISCONNECTED comes with the next update, has this code and
---reason, and is the last event. With `params.linger`, from `open` and at a server: it waits for
---the peer, and has the peer's.
---@param connection websocket.connection
---@param code? integer 1000 to 1003, 1007 to 1014 or 3000 to 4999; 1000
---@param reason? string UTF-8 of at most 123 bytes; ""
function websocket.disconnect(connection, code, reason) end

---Runs the callbacks of the events that are queued, and returns. With a budget it begins no further
---one when that is over; the first is always delivered.
---@param budget_ms? number milliseconds; no limit
---@return integer count of the events that were delivered
function websocket.update(budget_ms) end

---Sleeps until an event is there, then updates.
---@param timeout_ms? number for ever without it
---@return integer count of the events that were delivered; 0 on timeout
function websocket.wait(timeout_ms) end

---Waits and updates until no connection, no server and no timer is left, and what was sent before a
---`disconnect` is on its way.
function websocket.run() end

---What another loop can wait for: a descriptor that is readable while events wait; on Windows a
---socket. When it is, call `update`.
---@return integer? fd nil where the system has none
---@return string? problem why
function websocket.fd() end

---Turns off the line on stderr that says, once, that events have waited for a second and nothing has
---ever called `update`. The environment's `WEBSOCKET_NO_WARNINGS=1` does so, too.
function websocket.disable_warnings() end

---Milliseconds of a clock that never goes back.
---@return number milliseconds since some moment of its own
function websocket.now() end

---Listens at once. The callback gets the events of all connections. Misuse raises; where it cannot
---listen it says why.
---@param params? websocket.listen_params
---@param callback websocket.callback called with every event of every connection
---@return websocket.server? server nil where it cannot listen
---@return string? problem why
---@return integer? code ERROR_*
function websocket.listen(params, callback) end

---Connects and waits until it is open; in a coroutine it yields meanwhile.
---@param url string as `connect` takes it
---@param params? websocket.params
---@return websocket.connection? connection nil where it failed
---@return string? problem why
---@return integer? code ERROR_*
function websocket.open(url, params) end

---`WebSocket(url, protocol)`, for which an empty protocol is none. Raises as that does.
---@param url string
---@param protocol? string a subprotocol
---@return websocket.WebSocket
function websocket.createWebSocket(url, protocol) end

---The same as `websocket.send`.
---@param message string|number the payload
---@param options? websocket.send_options
function connection:send(message, options) end

---The same as `websocket.disconnect`.
---@param code? integer 1000 by default
---@param reason? string "" by default
function connection:disconnect(code, reason) end

---The next message of a connection that `open` made. Waits for it, or yields in a coroutine.
---@param timeout_ms? number for ever without it
---@return string? message nil on timeout and at the end
---@return 1|2|string|nil type DATA_TYPE_*; or "timeout", or why it ended
---@return integer? code the close code, at the end
function connection:receive(timeout_ms) end

---`for message, type in connection:messages() do`, until the connection ends.
---@return fun(connection: websocket.connection): string?, (1|2)?
---@return websocket.connection
function connection:messages() end

---How far it is.
---@return websocket.state
function connection:state() end

---Bytes that `send` accepted and the network has not taken, as of the latest update.
---@return integer
function connection:buffered() end

---Stops reading: the peer has to wait when the queues on the way are full.
function connection:pause() end

---Reads on.
function connection:resume() end

---Counts of a connection, nil before it is open. Round trips are those of `ping_interval`.
---@class websocket.stats
---@field messages_sent? integer taken by the network to their last byte; no pings, no Close
---@field messages_received? integer pings and Close do not count
---@field bytes_sent? integer of payloads, as far as the network has taken them
---@field bytes_received? integer of their payloads, inflated; of a message under way as far as it is
---@field rtt? number milliseconds of the latest ping
---@field rtt_min? number milliseconds of the shortest
---@field rtt_jitter? number milliseconds by which one differs from the next, on average
---@field connected_at? number seconds since 1970

---Counts so far; at the end the last ones.
---@return websocket.stats
function connection:stats() end

---@class websocket.server
---@field port integer that it listens on
---@field url string by which clients on this machine reach it
local server = {}

---Closes every connection and listens no more. Closing twice is nothing.
---@param code? integer 1001 by default
---@param reason? string "" by default
function server:close(code, reason) end

---How many connections are open.
---@return integer count
function server:connections() end

---What `broadcast` takes. Slow is whose network has not taken what was sent before. "wait": it gets
---the message later; where its send queue is full, it is closed with 1013. "drop": it misses the
---message. "close": it is closed with 1013.
---@class websocket.broadcast_options: websocket.send_options
---@field except? websocket.connection|websocket.connection[] who gets nothing
---@field slow? "wait"|"drop"|"close" what becomes of those; "wait"

---Sends one message to all that are open. Raises as `send` does, and then nobody gets it.
---@param message string|number the payload
---@param options? websocket.broadcast_options
---@return integer count of those that it goes to
function server:broadcast(message, options) end

---Takes another certificate, for those who connect from now on. Nobody is dropped; where the new
---one cannot be used, the old one stays.
---@param params { tls: websocket.identity }
---@return true? done nil where it cannot be used
---@return string? problem why
---@return integer? code ERROR_*
function server:reload(params) end

---The number of a close code of RFC 6455 section 7.4.1, by its name. A script may send 1000 and
---3000 to 4999; the others are the module's and the peer's.
---@class websocket.CloseCode
---@field Normal 1000 done; what `disconnect` says
---@field GoingAway 1001 a page that was left, a server or a program that ends
---@field ProtocolError 1002 the peer broke RFC 6455 or RFC 7692
---@field DatatypeNotSupported 1003 a kind of message that the peer does not take
---@field Reserved1004 1004 reserved; never sent
---@field MissingStatusCode 1005 the peer's Close had no code
---@field AbnormalDisconnection 1006 there was no Close
---@field WrongDatatype 1007 a text that is not UTF-8
---@field PolicyViolated 1008 the peer's rules forbid it
---@field TooMuchData 1009 a message over `max_message_size`
---@field MissingExtension 1010 the server did not agree on an extension that the client needs
---@field BadOperation 1011 the server failed
---@field TlsHandshakeFailed 1015 never sent, and not given here: that is an ERROR

---The number of what went wrong, by its name: `code` and `name` of an "error" event.
---@class websocket.SocketError
---@field UnknownSocketError -1 an error of the system that has no number here
---@field ConnectionRefusedError 0 nothing listens on that port
---@field RemoteHostClosedError 1 the peer closed or reset the connection without a Close
---@field HostNotFoundError 2 there is no such host, or no such Unix socket
---@field SocketAccessError 3 the system or a firewall forbids it
---@field SocketResourceError 4 no descriptor, thread or memory is left
---@field SocketTimeoutError 5 `timeout`, or `ping_timeout`, has passed
---@field DatagramTooLargeError 6 does not occur here
---@field NetworkError 7 no route, or the network is down
---@field AddressInUseError 8 something listens on that port already
---@field SocketAddressNotAvailableError 9 the address is not this machine's
---@field UnsupportedSocketOperationError 10 the URL cannot be used, or the system cannot do it
---@field ProxyAuthenticationRequiredError 11 the proxy wants a user and password, or others
---@field SslHandshakeFailedError 12 a certificate was refused, or there is no TLS in common
---@field UnfinishedSocketOperationError 13 does not occur here
---@field ProxyConnectionRefusedError 14 the proxy cannot be reached, or refuses
---@field ProxyConnectionClosedError 15 the proxy closed the connection
---@field ProxyConnectionTimeoutError 16 the proxy did not answer in time
---@field ProxyNotFoundError 17 the proxy's host is not known
---@field ProxyProtocolError 18 the proxy's answer is neither HTTP nor SOCKS5
---@field OperationError 19 an answer that is no WebSocket's, or the peer broke the protocol
---@field SslInternalError 20 the TLS library failed
---@field SslInvalidUserDataError 21 something in `tls` cannot be used
---@field TemporaryError 22 the resolver cannot tell now

---What `readyState` may be.
---@class websocket.ReadyState
---@field CONNECTING 0 until "open"; of one that comes back also between its connections
---@field OPEN 1 messages come and go
---@field CLOSING 2 from `close` to "close"
---@field CLOSED 3 over

---What misuse of the browser-style objects raises, as a table; `tostring` gives the text:
---
--- - "TypeError": an argument of another type, a member that is read-only, a method without its
---   object, an option that the module refuses.
--- - "SyntaxError": a URL or a subprotocol that is none, a text or a reason that is not UTF-8, a
---   reason over 123 bytes.
--- - "InvalidStateError": `send` before "open".
--- - "InvalidAccessError": a close code that a script may not send.
--- - "SecurityError": a port that the fetch standard blocks.
--- - "QuotaExceededError": a message for which `max_send_queue` or `maxOutbox` has no room.
--- - a name of `SocketError`: WebSocketServer cannot listen.
---@class websocket.Exception
---@field name string one of the above
---@field message string what was expected, and what came
---@field code integer the legacy code of the DOMException of this name, or 0
---@field where? string file and line of the script

---What a listener is given: all events have the first three, the others those that name them.
---@class websocket.SocketEvent
---@field type "open"|"message"|"error"|"close"|"connecting"|string which event it is
---@field target websocket.EventTarget the object that it happened to
---@field currentTarget websocket.EventTarget the same
---@field data? string message: the payload
---@field origin? string message: the scheme, host and port of the URL, in ASCII
---@field binary? boolean message: whether it was sent as a binary one
---@field code? integer close: the close code, 1006 if there was no Close; error: a SocketError
---@field reason? string close: the peer's words, or ""
---@field wasClean? boolean close: both sides said Close
---@field name? string error: the name in SocketError
---@field message? string error: what happened, in words
---@field attempt? integer connecting: 0, or the number of the retry
---@field url? string connecting: where to
---@field willReconnect? boolean close of a ReconnectingWebSocket: whether it comes back
---@field retryIn? integer close of a ReconnectingWebSocket: milliseconds until the next attempt

---What it raises goes to `websocket.onuncaughterror`.
---@alias websocket.listener fun(event: websocket.SocketEvent, socket: any)

---Listeners by type of event, as the DOM standard has them.
---@class websocket.EventTarget
local target = {}

---The same function twice for one type counts once; nil is ignored. Raises TypeError.
---@param type string of the events, e.g. "message"
---@param listener? websocket.listener
---@param options? { once?: boolean } once: it is removed before its first call; false
function target:addEventListener(type, listener, options) end

---One that is not there is ignored.
---@param type string of the events
---@param listener? websocket.listener
function target:removeEventListener(type, listener) end

---Calls the listeners of `event.type` now, with the event. Raises TypeError.
---@param event table with its `type`
---@return boolean true
function target:dispatchEvent(event) end

---@class websocket.EventTargetClass
---@overload fun(): websocket.EventTarget
---@field new fun(): websocket.EventTarget the same by a name

---What WebSocket and ReconnectingWebSocket have in common.
---@class websocket.Socket: websocket.EventTarget
---@field CONNECTING 0 as in `ReadyState`
---@field OPEN 1 as in `ReadyState`
---@field CLOSING 2 as in `ReadyState`
---@field CLOSED 3 as in `ReadyState`
---@field url string read-only: the URL's ASCII serialisation, with the scheme `ws` or `wss`
---@field readyState 0|1|2|3 read-only: CONNECTING, OPEN, CLOSING or CLOSED
---@field bufferedAmount integer read-only: bytes that `send` took and the network did not
---@field extensions string read-only: "" until it is open
---@field protocol string read-only: the subprotocol that the server chose, or ""
---@field handshakeResponse? websocket.handshake_response read-only: from "open" or a refusal on
---@field binaryType "blob"|"arraybuffer" "blob"; a message is a string all the same
---@field onopen? websocket.listener of "open": the first time that it may send
---@field onmessage? websocket.listener of "message"
---@field onerror? websocket.listener of "error", which "close" follows
---@field onclose? websocket.listener of "close", the last event
local socket = {}

---A text message, or with "binary" a binary one. After the close it only counts into
---`bufferedAmount`. Raises TypeError, SyntaxError, InvalidStateError, QuotaExceededError.
---@param data any a string, a number, or what has __tostring
---@param kind? "text"|"binary" "text"
---@return self
function socket:send(data, kind) end

---`send(data, "binary")`.
---@param data any a string, a number, or what has __tostring
---@return self
function socket:sendBytes(data) end

---Sends what is queued, then Close; "close" tells when it is done. Closing twice is nothing.
---Raises InvalidAccessError, SyntaxError, TypeError.
---@param code? integer 1000, or 3000 to 4999; 1000
---@param reason? string at most 123 bytes; ""
---@return self
function socket:close(code, reason) end

---Removes all handlers and closes. Also what `<close>` does.
function socket:destroy() end

---Calls the handler at every event of this name. `payload` is a message's data, or of "close" a
---table with `code`, `reason` and `wasClean`; `binary` tells of which kind a message is.
---@param name "open"|"message"|"error"|"close"|string of the event
---@param handler fun(name: string, payload: any, passed: any, binary?: boolean)
---@param passed? any the handler's third argument
---@return self
function socket:addListener(name, handler, passed) end

---`readyState`.
---@return 0|1|2|3
function socket:getReadyState() end

---`url`.
---@return string
function socket:getUrl() end

---`binaryType`.
---@return "blob"|"arraybuffer"
function socket:getBinaryType() end

---Sets `binaryType`, which changes nothing for messages. Raises TypeError.
---@param value "blob"|"arraybuffer"
---@return self
function socket:setBinaryType(value) end

---For scripts that also run elsewhere.
---@return true
function socket:isSupported() end

---A WebSocket of one connection.
---@class websocket.WebSocket: websocket.Socket

---The third argument of `WebSocket`. Where `protocols` is nil, its `protocol` counts.
---@class websocket.options: websocket.params
---@field allowAnyPort? boolean also the ports that the fetch standard blocks; false

---What the classes themselves have in common.
---@class websocket.SocketClass
---@field CONNECTING 0 as in `ReadyState`
---@field OPEN 1 as in `ReadyState`
---@field CLOSING 2 as in `ReadyState`
---@field CLOSED 3 as in `ReadyState`
---@field ReadyState websocket.ReadyState the numbers of `readyState`
---@field CloseCode websocket.CloseCode the numbers of close codes
---@field SocketError websocket.SocketError the numbers of errors
---@field isSupported fun(...): true for scripts that also run elsewhere

---The browser's WebSocket. Starts connecting and returns at once; raises TypeError, SyntaxError,
---SecurityError. With another WebSocket instead of a URL it is a second object on that
---connection, with handlers of its own.
---@class websocket.WebSocketClass: websocket.SocketClass
---@overload fun(url: string|websocket.WebSocket, protocols?: string|string[], options?: websocket.options): websocket.WebSocket
---@field new fun(url: string|websocket.WebSocket, protocols?: string|string[], options?: websocket.options): websocket.WebSocket the same by a name
---@field create fun(url: string, protocol?: string): websocket.WebSocket `createWebSocket`

---A WebSocket that comes back after a loss. What is sent meanwhile waits in its outbox.
---@class websocket.ReconnectingWebSocket: websocket.Socket
---@field retryCount integer read-only: retries since the connection was last up for `minUptime`
---@field onconnecting? websocket.listener of "connecting": an attempt begins
local reconnecting = {}

---Connects anew, now, whatever the options say: also after the end.
function reconnecting:reconnect() end

---@class websocket.reconnecting_options: websocket.options
---@field minDelay? number milliseconds before a retry at least; 1000
---@field maxDelay? number milliseconds before a retry at most; 30000
---@field factor? number by which the backoff grows with each retry, from `minDelay` on; 2
---@field jitter? boolean a retry comes between `minDelay` and that much more than the backoff; false: after the backoff; true
---@field minUptime? number milliseconds after which the delays begin anew; 5000
---@field maxRetries? number after which it gives up; no limit
---@field connectionTimeout? number milliseconds for each attempt, where there is no `timeout`; 3000
---@field maxOutbox? number bytes kept while away; 1 MiB
---@field stopCodes? (integer|integer[])[] close codes, or ranges of them, after which it stops; {1000, 1008, {4000, 4999}}

---A URL, or a function that returns one and is called before each attempt: with a fresh token, say.
---@alias websocket.target string|fun(): string
---Subprotocols, or a function that returns them and is called before each attempt.
---@alias websocket.protocols string|string[]|fun(): string|string[]|nil

---Raises as WebSocket does, and TypeError for an option that is out of range.
---@class websocket.ReconnectingWebSocketClass: websocket.SocketClass
---@overload fun(url: websocket.target, protocols?: websocket.protocols, options?: websocket.reconnecting_options): websocket.ReconnectingWebSocket
---@field new fun(url: websocket.target, protocols?: websocket.protocols, options?: websocket.reconnecting_options): websocket.ReconnectingWebSocket the same by a name

---Called with each client, as an open WebSocket. What it raises goes to `websocket.onuncaughterror`.
---@alias websocket.on_connection fun(socket: websocket.WebSocket, request: websocket.request)

---More than one function for new connections.
---@class websocket.signal
local signal = {}

---The same function twice counts once. Raises TypeError.
---@param slot websocket.on_connection
---@return websocket.on_connection slot
function signal:connect(slot) end

---One that is not there is ignored.
---@param slot websocket.on_connection
function signal:disconnect(slot) end

---@class websocket.WebSocketServer
---@field url string read-only: by which clients on this machine reach it
---@field port integer read-only: that it listens on
---@field listening boolean read-only: until `close`
---@field serverName string read-only: "" by default
---@field newConnection websocket.signal read-only: as `onconnection`, for more than one function
---@field onconnection? websocket.on_connection each client, as an open WebSocket
local web_socket_server = {}

---Closes every connection with 1001 "Server closing." and listens no more.
function web_socket_server:close() end

---@class websocket.server_options: websocket.listen_params
---@field serverName? string the answer's `Server` header; none
---@field maxConnections? integer `max_connections` of `listen`
---@field maxHandshakes? integer `max_handshakes` of `listen`
---@field allowAnyOrigin? boolean `allow_any_origin` of `listen`

---Listens at once. Raises TypeError where an option is wrong, and an exception by the name of a
---SocketError where it cannot listen: "AddressInUseError", "SocketAddressNotAvailableError".
---@class websocket.WebSocketServerClass
---@overload fun(options?: websocket.server_options): websocket.WebSocketServer
---@field new fun(options?: websocket.server_options): websocket.WebSocketServer the same by a name

return websocket
