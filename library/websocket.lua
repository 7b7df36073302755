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
---Called with what a listener of a WebSocket raised; by default it prints the traceback to stderr.
---@field onuncaughterror? fun(problem: any, traceback: string)
---Calls a connection's callback. A host that must prepare its script instance replaces it.
---@field oncallback fun(callback: websocket.callback, self: any, connection: websocket.connection, data: websocket.event)
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
---@field ca? string trusted beside the system's
---@field certificate? string
---@field key? string
---@field server_name? string
---@field min_version? "1.0"|"1.1"|"1.2"|"1.3"
---@field pins? string|string[] SHA-256 of the server's SubjectPublicKeyInfo
---@field dangerously_skip_verification? boolean

---@class websocket.listen_params
---@field host? string 127.0.0.1
---@field port? integer 0: a free one
---@field protocols? string|string[] subprotocols that the server speaks
---@field headers? websocket.headers more headers of the answer
---@field self? any handed to the callback as its first argument
---@field max_connections? integer
---@field tls? websocket.identity
---@field timeout? number milliseconds for a client's handshake, and for `listen` itself to read its files and to resolve its host; 3000
---@field compression? boolean|websocket.compression
---@field max_message_size? integer
---@field max_receive_queue? integer
---@field max_send_queue? integer
---@field ping_interval? number
---@field ping_timeout? number
---@field close_timeout? number

---@class websocket.identity
---@field certificate string PEM text or a file's path
---@field key string PEM text or a file's path

---What happened: a fresh table for each event.
---@class websocket.event
---@field event 0|1|2|3 EVENT_*
---@field message string the payload; the error's text; the reason of the close; or ""
---@field type? 1|2 MESSAGE: DATA_TYPE_*
---@field code? integer DISCONNECTED: the close code
---@field reason? string DISCONNECTED
---@field clean? boolean DISCONNECTED
---@field error? integer ERROR: ERROR_*
---@field stage? websocket.stage ERROR
---@field handshake_response? websocket.handshake_response CONNECTED; ERROR after a bad answer
---@field request? websocket.request CONNECTED at a server

---@class websocket.handshake_response
---@field status integer
---@field headers table<string, string> as sent; names in lower case are found, too
---@field response string the body

---@class websocket.request
---@field path string
---@field headers table<string, string>
---@field remote_address string

---@class websocket.connection
---@field url string
---@field protocol string the subprotocol, or ""
---@field extensions string
---@field remote_address? string address and port, once it is known
local connection = {}

---@class websocket.send_options
---@field type? 1|2 DATA_TYPE_*; binary by default

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

---Sends what is queued, then Close. DISCONNECTED tells when it is done.
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

---A descriptor that is readable while events wait.
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

---@class websocket.SocketEvent
---@field type "open"|"message"|"error"|"close"|"connecting"|string
---@field target websocket.EventTarget
---@field currentTarget websocket.EventTarget
---@field data? string message
---@field origin? string message
---@field binary? boolean message
---@field code? integer close; error
---@field reason? string close
---@field wasClean? boolean close
---@field name? string error: the name in SocketError
---@field message? string error
---@field attempt? integer connecting: 0, or the number of the retry
---@field url? string connecting
---@field willReconnect? boolean close of a ReconnectingWebSocket
---@field retryIn? integer close: milliseconds until the next attempt

---@alias websocket.listener fun(event: websocket.SocketEvent, socket: any)

---@class websocket.EventTarget
local target = {}

---@param type string
---@param listener? websocket.listener
---@param options? { once?: boolean }
function target:addEventListener(type, listener, options) end

---@param type string
---@param listener? websocket.listener
function target:removeEventListener(type, listener) end

---@param event table
---@return boolean
function target:dispatchEvent(event) end

---@class websocket.EventTargetClass
---@field new fun(): websocket.EventTarget

---What WebSocket and ReconnectingWebSocket have in common.
---@class websocket.Socket: websocket.EventTarget
---@field CONNECTING 0
---@field OPEN 1
---@field CLOSING 2
---@field CLOSED 3
---@field url string read-only
---@field readyState 0|1|2|3 read-only
---@field bufferedAmount integer read-only
---@field extensions string read-only
---@field protocol string read-only
---@field handshakeResponse? websocket.handshake_response read-only
---@field binaryType "blob"|"arraybuffer"
---@field onopen? websocket.listener
---@field onmessage? websocket.listener
---@field onerror? websocket.listener
---@field onclose? websocket.listener
local socket = {}

---A text message, or with "binary" a binary one.
---@param data any a string, a number, or what has __tostring
---@param kind? "text"|"binary"
function socket:send(data, kind) end

---@param data any
function socket:sendBytes(data) end

---@param code? integer 1000, or 3000 to 4999
---@param reason? string
function socket:close(code, reason) end

---Removes all handlers and closes.
function socket:destroy() end

---@param name string
---@param handler fun(name: string, payload: any, passed: any)
---@param passed? any
---@return self
function socket:addListener(name, handler, passed) end

---@return 0|1|2|3
function socket:getReadyState() end

---@return string
function socket:getUrl() end

---@return string
function socket:getBinaryType() end

---@param value "blob"|"arraybuffer"
function socket:setBinaryType(value) end

---@class websocket.WebSocket: websocket.Socket

---@class websocket.options: websocket.params
---@field allowAnyPort? boolean

---@class websocket.SocketClass
---@field CONNECTING 0
---@field OPEN 1
---@field CLOSING 2
---@field CLOSED 3
---@field CloseCode table<string, integer>
---@field SocketError table<string, integer>
---@field isSupported fun(): boolean

---@class websocket.WebSocketClass: websocket.SocketClass
---@overload fun(url: string|websocket.WebSocket, protocols?: string|string[], options?: websocket.options): websocket.WebSocket
---@field new fun(url: string|websocket.WebSocket, protocols?: string|string[], options?: websocket.options): websocket.WebSocket
---@field create fun(url: string, protocol?: string): websocket.WebSocket

---@class websocket.ReconnectingWebSocket: websocket.Socket
---@field retryCount integer read-only
---@field onconnecting? websocket.listener
local reconnecting = {}

---Connects anew, now.
function reconnecting:reconnect() end

---@class websocket.reconnecting_options: websocket.options
---@field minDelay? number milliseconds; 1000
---@field maxDelay? number milliseconds; 30000
---@field factor? number 2
---@field jitter? boolean true
---@field minUptime? number milliseconds after which the delays begin anew; 5000
---@field maxRetries? integer
---@field connectionTimeout? number milliseconds; 3000
---@field maxOutbox? integer bytes kept while away; 1 MiB
---@field stopCodes? (integer|integer[])[] close codes, or ranges of them, after which it stops

---@alias websocket.target string|fun(): string
---@alias websocket.protocols string|string[]|fun(): string|string[]|nil

---@class websocket.ReconnectingWebSocketClass: websocket.SocketClass
---@overload fun(url: websocket.target, protocols?: websocket.protocols, options?: websocket.reconnecting_options): websocket.ReconnectingWebSocket
---@field new fun(url: websocket.target, protocols?: websocket.protocols, options?: websocket.reconnecting_options): websocket.ReconnectingWebSocket

---@alias websocket.on_connection fun(socket: websocket.WebSocket, request: websocket.request)

---@class websocket.signal
local signal = {}

---@param slot websocket.on_connection
---@return websocket.on_connection
function signal:connect(slot) end

---@param slot websocket.on_connection
function signal:disconnect(slot) end

---@class websocket.WebSocketServer
---@field url string read-only
---@field port integer read-only
---@field listening boolean read-only
---@field serverName? string read-only
---@field newConnection websocket.signal read-only
---@field onconnection? websocket.on_connection
local web_socket_server = {}

---Closes every connection with 1001 "Server closing." and listens no more.
function web_socket_server:close() end

---@class websocket.server_options: websocket.listen_params
---@field serverName? string
---@field maxConnections? integer

---@class websocket.WebSocketServerClass
---@overload fun(options?: websocket.server_options): websocket.WebSocketServer
---@field new fun(options?: websocket.server_options): websocket.WebSocketServer

return websocket
