---@meta websocket

---One WebSocket module for every Lua: `local websocket = require("websocket")`.
---@class websocket
---@field _VERSION string
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
---@field WebSocket websocket.WebSocketClass
---@field WebSocketServer websocket.WebSocketServerClass
---@field ReconnectingWebSocket websocket.ReconnectingWebSocketClass
---@field EventTarget websocket.EventTargetClass
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

---@alias websocket.state "connecting"|"open"|"closing"|"closed"
---@alias websocket.stage "resolve"|"connect"|"proxy"|"tls"|"handshake"|"open"|"close"
---@alias websocket.callback fun(self: any, connection: websocket.connection, data: websocket.event)
---Header lines separated by `\r\n`, or names and their value or values.
---@alias websocket.headers string|table<string, string|number|(string|number)[]>

---@class websocket.params
---@field timeout? number milliseconds for the whole way to CONNECTED; 3000
---@field protocol? string|string[] subprotocols to offer
---@field headers? websocket.headers more headers of the request
---@field self? any handed to the callback as its first argument
---@field compression? boolean|websocket.compression permessage-deflate; true
---@field max_message_size? integer bytes; a larger one ends the connection with 1009; 64 MiB
---@field max_receive_queue? integer undelivered bytes at which reading pauses; 16 MiB
---@field max_send_queue? integer bytes; `send` beyond it raises; 64 MiB
---@field ping_interval? number milliseconds between pings; off
---@field ping_timeout? number milliseconds without an answer that end the connection; 20000
---@field close_timeout? number milliseconds to wait for the peer's Close; 3000
---@field delay? number milliseconds to wait before dialling; 0
---@field linger? boolean after `disconnect` messages still come until the peer's Close, whose code DISCONNECTED has; false
---@field tls? websocket.tls
---@field proxy? string|boolean a URL, or false for none; the environment's by default

---@class websocket.compression
---@field level? integer 1 to 9
---@field threshold? integer bytes under which a message is not compressed
---@field client_no_context_takeover? boolean
---@field server_no_context_takeover? boolean
---@field client_max_window_bits? integer 8 to 15
---@field server_max_window_bits? integer 8 to 15

---PEM text or a file's path, wherever a certificate or a key is asked for.
---@class websocket.tls
---@field ca? string the issuers to trust instead of the system's
---@field certificate? string our own, with its chain; or PKCS#12, whose password is `key`
---@field key? string our private key, not encrypted; it may stand in `certificate`
---@field server_name? string to ask for and to verify instead of the URL's host
---@field min_version? "1.0"|"1.1"|"1.2"|"1.3" "1.2"
---@field pins? string|string[] SHA-256 of the server's SubjectPublicKeyInfo, one of which must be the server's: Base64, with or without `sha256/`, or hex
---@field dangerously_skip_verification? boolean accepts any certificate; false

---@class websocket.listen_params
---@field host? string 127.0.0.1
---@field port? integer 0: a free one
---@field unix? string path of a Unix socket, in place of `host` and `port`; its file goes when the server is closed
---@field unix_mode? string who may connect to it, in octal digits as for chmod; "600"
---@field protocols? string|string[] subprotocols that the server speaks; none
---@field headers? websocket.headers more headers of the answer
---@field self? any handed to the callback as its first argument
---@field tls? websocket.identity without it the server speaks `ws`
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

---@class websocket.identity
---@field certificate string PEM text or a file's path
---@field key string PEM text or a file's path
---@field client_ca? string refused: the TLS library asks no client for a certificate

---A client that asks for a WebSocket or, with the server's `request`, for what is at a path.
---@class websocket.asked
---@field method "GET"|"HEAD"
---@field path string as the client wrote it, without the query
---@field query table<string, string> decoded; of a repeated name the last
---@field headers table<string, string> as sent; names in lower case are found, too
---@field remote_address string
---@field protocols? string[] the subprotocols that it offers, most wanted first
---@field certificate? string the client's, in PEM; nil today

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
---@field reason? string DISCONNECTED
---@field clean? boolean DISCONNECTED: both sides sent Close, or the script has left by `disconnect`
---@field error? integer ERROR: ERROR_*
---@field stage? websocket.stage ERROR
---@field handshake_response? websocket.handshake_response CONNECTED; ERROR after a bad answer
---@field request? websocket.request CONNECTED at a server

---@class websocket.handshake_response
---@field status integer
---@field headers table<string, string> as sent; names in lower case are found, too
---@field response string the body

---@class websocket.request
---@field path string with its query, as the client wrote it
---@field headers table<string, string> as sent; names in lower case are found, too
---@field remote_address string
---@field user? any what `authorize` says of it

---@class websocket.connection
---@field url string
---@field protocol string the subprotocol, or ""
---@field extensions string
---@field remote_address? string address and port, once it is known
local connection = {}

---@class websocket.send_options
---@field type? 1|2 DATA_TYPE_*; binary by default
---@field latest? string|number what the message is about: it takes the place of one with the same key that has not left, and what is sent later may overtake it

---Starts connecting and returns at once. Misuse raises; failure is an ERROR event.
---@param url string
---@param params? websocket.params
---@param callback websocket.callback
---@return websocket.connection
function websocket.connect(url, params, callback) end

---Queues one message.
---@param connection websocket.connection
---@param message string|number
---@param options? websocket.send_options
function websocket.send(connection, message, options) end

---Sends what is queued, then Close. DISCONNECTED comes with the next update, has this code and
---reason, and is the last event. With `params.linger`, from `open` and at a server: it waits for
---the peer, and has the peer's.
---@param connection websocket.connection
---@param code? integer 1000
---@param reason? string
function websocket.disconnect(connection, code, reason) end

---Runs the callbacks of the events that are queued, at most for the budget.
---@param budget_ms? number
---@return integer count
function websocket.update(budget_ms) end

---Sleeps until an event is there, then updates.
---@param timeout_ms? number
---@return integer count 0 on timeout
function websocket.wait(timeout_ms) end

---Waits and updates until no connection and no server is left.
function websocket.run() end

---A descriptor that is readable while events wait; on Windows a socket.
---@return integer? fd
---@return string? problem where the system has none
function websocket.fd() end

---Milliseconds of a clock that never goes back.
---@return number
function websocket.now() end

---@param params? websocket.listen_params
---@param callback websocket.callback
---@return websocket.server? server
---@return string? problem
---@return integer? code ERROR_*
function websocket.listen(params, callback) end

---Connects and waits until it is open; in a coroutine it yields meanwhile.
---@param url string
---@param params? websocket.params
---@return websocket.connection? connection
---@return string? problem
---@return integer? code ERROR_*
function websocket.open(url, params) end

---`WebSocket(url, protocol)`, for which an empty protocol is none. Raises as that does.
---@param url string
---@param protocol? string
---@return websocket.WebSocket
function websocket.createWebSocket(url, protocol) end

---@param message string|number
---@param options? websocket.send_options
function connection:send(message, options) end

---@param code? integer
---@param reason? string
function connection:disconnect(code, reason) end

---The next message of a connection that `open` made.
---@param timeout_ms? number
---@return string? message
---@return 1|2|string|nil type or what went wrong
---@return integer? code the close code
function connection:receive(timeout_ms) end

---`for message, type in connection:messages() do`, until the connection ends.
---@return fun(connection: websocket.connection): string?, (1|2)?
---@return websocket.connection
function connection:messages() end

---@return websocket.state
function connection:state() end

---Bytes that `send` accepted and the network has not taken, as of the latest update.
---@return integer
function connection:buffered() end

---Stops reading.
function connection:pause() end

---Reads on.
function connection:resume() end

---@class websocket.stats
---@field messages_sent? integer
---@field messages_received? integer
---@field bytes_sent? integer
---@field bytes_received? integer
---@field rtt? number milliseconds of the latest ping
---@field rtt_min? number
---@field rtt_jitter? number
---@field connected_at? number seconds since 1970

---@return websocket.stats
function connection:stats() end

---@class websocket.server
---@field port integer
---@field url string
local server = {}

---Closes every connection, by default with 1001, and listens no more.
---@param code? integer
---@param reason? string
function server:close(code, reason) end

---@return integer count
function server:connections() end

---Slow is whose network has not taken what was sent before. "wait": it gets the message later;
---where its send queue is full, it is closed with 1013. "drop": it misses the message. "close": it
---is closed with 1013.
---@class websocket.broadcast_options: websocket.send_options
---@field except? websocket.connection|websocket.connection[] who gets nothing
---@field slow? "wait"|"drop"|"close" "wait"

---Sends one message to all that are open. Raises as `send` does, and then nobody gets it.
---@param message string|number
---@param options? websocket.broadcast_options
---@return integer count of those that it goes to
function server:broadcast(message, options) end

---Takes another certificate, for those who connect from now on. Nobody is dropped; where the new
---one cannot be used, the old one stays.
---@param params { tls: websocket.identity }
---@return true? done
---@return string? problem
---@return integer? code ERROR_*
function server:reload(params) end

---The number of a close code of RFC 6455 section 7.4.1, by its name. A script may send 1000 and
---3000 to 4999; the others are the module's and the peer's.
---@class websocket.CloseCode
---@field Normal 1000
---@field GoingAway 1001
---@field ProtocolError 1002
---@field DatatypeNotSupported 1003
---@field Reserved1004 1004
---@field MissingStatusCode 1005 the peer's Close had no code
---@field AbnormalDisconnection 1006 there was no Close
---@field WrongDatatype 1007 a text that is not UTF-8
---@field PolicyViolated 1008
---@field TooMuchData 1009
---@field MissingExtension 1010
---@field BadOperation 1011
---@field TlsHandshakeFailed 1015

---The number of what went wrong, by its name: `code` and `name` of an "error" event.
---@class websocket.SocketError
---@field UnknownSocketError -1
---@field ConnectionRefusedError 0
---@field RemoteHostClosedError 1
---@field HostNotFoundError 2
---@field SocketAccessError 3
---@field SocketResourceError 4
---@field SocketTimeoutError 5
---@field DatagramTooLargeError 6
---@field NetworkError 7
---@field AddressInUseError 8
---@field SocketAddressNotAvailableError 9
---@field UnsupportedSocketOperationError 10
---@field ProxyAuthenticationRequiredError 11
---@field SslHandshakeFailedError 12
---@field UnfinishedSocketOperationError 13
---@field ProxyConnectionRefusedError 14
---@field ProxyConnectionClosedError 15
---@field ProxyConnectionTimeoutError 16
---@field ProxyNotFoundError 17
---@field ProxyProtocolError 18
---@field OperationError 19
---@field SslInternalError 20
---@field SslInvalidUserDataError 21
---@field TemporaryError 22

---@class websocket.ReadyState
---@field CONNECTING 0
---@field OPEN 1
---@field CLOSING 2
---@field CLOSED 3

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
---@field name string
---@field message string what was expected, and what came
---@field code integer the legacy code of the DOMException of this name, or 0
---@field where? string file and line of the script

---@class websocket.SocketEvent
---@field type "open"|"message"|"error"|"close"|"connecting"|string
---@field target websocket.EventTarget
---@field currentTarget websocket.EventTarget
---@field data? string message
---@field origin? string message: the scheme, host and port of the URL, in ASCII
---@field binary? boolean message
---@field code? integer close: the close code, 1006 if there was no Close; error: a SocketError
---@field reason? string close
---@field wasClean? boolean close: both sides said Close
---@field name? string error: the name in SocketError
---@field message? string error
---@field attempt? integer connecting: 0, or the number of the retry
---@field url? string connecting
---@field willReconnect? boolean close of a ReconnectingWebSocket
---@field retryIn? integer close of a ReconnectingWebSocket: milliseconds until the next attempt

---What it raises goes to `websocket.onuncaughterror`.
---@alias websocket.listener fun(event: websocket.SocketEvent, socket: any)

---Listeners by type of event, as the DOM standard has them.
---@class websocket.EventTarget
local target = {}

---The same function twice for one type counts once; nil is ignored. Raises TypeError.
---@param type string
---@param listener? websocket.listener
---@param options? { once?: boolean } once: it is removed before its first call; false
function target:addEventListener(type, listener, options) end

---@param type string
---@param listener? websocket.listener
function target:removeEventListener(type, listener) end

---Calls the listeners of `event.type` now, with the event. Raises TypeError.
---@param event table
---@return boolean true
function target:dispatchEvent(event) end

---@class websocket.EventTargetClass
---@overload fun(): websocket.EventTarget
---@field new fun(): websocket.EventTarget

---What WebSocket and ReconnectingWebSocket have in common.
---@class websocket.Socket: websocket.EventTarget
---@field CONNECTING 0
---@field OPEN 1
---@field CLOSING 2
---@field CLOSED 3
---@field url string read-only: the URL's ASCII serialisation, with the scheme `ws` or `wss`
---@field readyState 0|1|2|3 read-only: CONNECTING, OPEN, CLOSING or CLOSED
---@field bufferedAmount integer read-only: bytes that `send` took and the network did not
---@field extensions string read-only: "" until it is open
---@field protocol string read-only: the subprotocol that the server chose, or ""
---@field handshakeResponse? websocket.handshake_response read-only: from "open" or a refusal on
---@field binaryType "blob"|"arraybuffer" "blob"; a message is a string all the same
---@field onopen? websocket.listener
---@field onmessage? websocket.listener
---@field onerror? websocket.listener
---@field onclose? websocket.listener
local socket = {}

---A text message, or with "binary" a binary one. After the close it only counts into
---`bufferedAmount`. Raises TypeError, SyntaxError, InvalidStateError, QuotaExceededError.
---@param data any a string, a number, or what has __tostring
---@param kind? "text"|"binary" "text"
---@return self
function socket:send(data, kind) end

---`send(data, "binary")`.
---@param data any
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
---@param name "open"|"message"|"error"|"close"|string
---@param handler fun(name: string, payload: any, passed: any, binary?: boolean)
---@param passed? any
---@return self
function socket:addListener(name, handler, passed) end

---@return 0|1|2|3
function socket:getReadyState() end

---@return string
function socket:getUrl() end

---@return "blob"|"arraybuffer"
function socket:getBinaryType() end

---Raises TypeError.
---@param value "blob"|"arraybuffer"
---@return self
function socket:setBinaryType(value) end

---@return true
function socket:isSupported() end

---@class websocket.WebSocket: websocket.Socket

---@class websocket.options: websocket.params
---@field allowAnyPort? boolean also the ports that the fetch standard blocks; false

---@class websocket.SocketClass
---@field CONNECTING 0
---@field OPEN 1
---@field CLOSING 2
---@field CLOSED 3
---@field ReadyState websocket.ReadyState
---@field CloseCode websocket.CloseCode
---@field SocketError websocket.SocketError
---@field isSupported fun(...): true

---The browser's WebSocket. Starts connecting and returns at once; raises TypeError, SyntaxError,
---SecurityError. With another WebSocket instead of a URL it is a second object on that
---connection, with handlers of its own.
---@class websocket.WebSocketClass: websocket.SocketClass
---@overload fun(url: string|websocket.WebSocket, protocols?: string|string[], options?: websocket.options): websocket.WebSocket
---@field new fun(url: string|websocket.WebSocket, protocols?: string|string[], options?: websocket.options): websocket.WebSocket
---@field create fun(url: string, protocol?: string): websocket.WebSocket

---A WebSocket that comes back after a loss. What is sent meanwhile waits in its outbox.
---@class websocket.ReconnectingWebSocket: websocket.Socket
---@field retryCount integer read-only: retries since the connection was last up for `minUptime`
---@field onconnecting? websocket.listener
local reconnecting = {}

---Connects anew, now, whatever the options say: also after the end.
function reconnecting:reconnect() end

---@class websocket.reconnecting_options: websocket.options
---@field minDelay? number milliseconds before a retry at least; 1000
---@field maxDelay? number milliseconds before a retry at most; 30000
---@field factor? number by which the backoff grows with each retry, from `minDelay` on; 2
---@field jitter? boolean a retry comes between `minDelay` and that much more than the backoff; false: after the backoff; true
---@field minUptime? number milliseconds after which the delays begin anew; 5000
---@field maxRetries? number no limit
---@field connectionTimeout? number milliseconds for each attempt, where there is no `timeout`; 3000
---@field maxOutbox? number bytes kept while away; 1 MiB
---@field stopCodes? (integer|integer[])[] close codes, or ranges of them, after which it stops; {1000, 1008, {4000, 4999}}

---Called before each attempt, where it is a function.
---@alias websocket.target string|fun(): string
---@alias websocket.protocols string|string[]|fun(): string|string[]|nil

---Raises as WebSocket does, and TypeError for an option that is out of range.
---@class websocket.ReconnectingWebSocketClass: websocket.SocketClass
---@overload fun(url: websocket.target, protocols?: websocket.protocols, options?: websocket.reconnecting_options): websocket.ReconnectingWebSocket
---@field new fun(url: websocket.target, protocols?: websocket.protocols, options?: websocket.reconnecting_options): websocket.ReconnectingWebSocket

---What it raises goes to `websocket.onuncaughterror`.
---@alias websocket.on_connection fun(socket: websocket.WebSocket, request: websocket.request)

---@class websocket.signal
local signal = {}

---The same function twice counts once. Raises TypeError.
---@param slot websocket.on_connection
---@return websocket.on_connection slot
function signal:connect(slot) end

---@param slot websocket.on_connection
function signal:disconnect(slot) end

---@class websocket.WebSocketServer
---@field url string read-only
---@field port integer read-only
---@field listening boolean read-only: until `close`
---@field serverName string read-only: "" by default
---@field newConnection websocket.signal read-only
---@field onconnection? websocket.on_connection each client, as an open WebSocket
local web_socket_server = {}

---Closes every connection with 1001 "Server closing." and listens no more.
function web_socket_server:close() end

---@class websocket.server_options: websocket.listen_params
---@field serverName? string the answer's `Server` header; none
---@field maxConnections? integer `max_connections`
---@field maxHandshakes? integer `max_handshakes`
---@field allowAnyOrigin? boolean `allow_any_origin`

---Listens at once. Raises TypeError where an option is wrong, and an exception by the name of a
---SocketError where it cannot listen: "AddressInUseError", "SocketAddressNotAvailableError".
---@class websocket.WebSocketServerClass
---@overload fun(options?: websocket.server_options): websocket.WebSocketServer
---@field new fun(options?: websocket.server_options): websocket.WebSocketServer

return websocket
