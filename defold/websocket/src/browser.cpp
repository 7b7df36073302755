// HTML5: luaopen_websocket on the browser's own WebSocket. The same module.lua as everywhere else
// runs on native functions that are written here anew, on emscripten's websocket.h.
//
// A Lua error leaves a function here by longjmp, so nothing with a destructor stands on the stack
// across a call into Lua: strings stay in the sockets and events that own them.

#if defined(__EMSCRIPTEN__)

#define DLIB_LOG_DOMAIN "Websocket"

#include <dmsdk/sdk.h>

#include "embedded.h"

#include <deque>
#include <emscripten/emscripten.h>
#include <emscripten/websocket.h>
#include <map>
#include <string.h>
#include <string>

// Opens the browser's socket. What it throws must not pass through the frames of C and Lua:
// -1 is a URL or a list of subprotocols that it refuses, -2 that the page may not connect.
EM_JS(int, websocket_browser_open, (void* attributes, char* reason, int size), {
    try {
        return _emscripten_websocket_new(attributes);
    } catch (problem) {
        stringToUTF8(String(problem.message), reason, size);
        return problem.name === "SecurityError" ? -2 : -1;
    }
});

// emscripten's own function ends a text at its first zero.
EM_JS(void, websocket_browser_send_text, (int socket, const char* text, int size), {
    const bytes = HEAPU8.slice(text, text + size);
    WS.sockets[socket].send(new TextDecoder("utf-8", { ignoreBOM : true }).decode(bytes));
});

namespace
{
enum
{
    EVENT_CONNECTED = 0,
    EVENT_DISCONNECTED = 1,
    EVENT_MESSAGE = 2,
    EVENT_ERROR = 3,
    TYPE_TEXT = 1,
    TYPE_BINARY = 2,
    ERROR_REMOTE_HOST_CLOSED = 1,
    ERROR_SOCKET_ACCESS = 3,
    ERROR_SOCKET_TIMEOUT = 5,
    ERROR_NETWORK = 7,
    ERROR_UNSUPPORTED = 10,
};

struct Event
{
    int m_Id;
    int m_Kind;
    int m_Code;          // MESSAGE: TYPE_*; ERROR: ERROR_*; DISCONNECTED: the close code
    bool m_Clean;        // DISCONNECTED
    std::string m_Text;  // the payload, the error's text, the reason, the subprotocol
    std::string m_Other; // CONNECTED: the extensions; ERROR: the stage
};

struct Browser;

// connect -> WAITING (delay) -> CONNECTING -> OPEN -> CLOSING -> OVER; from each of them to OVER
enum Phase
{
    WAITING,
    CONNECTING,
    OPEN,
    CLOSING,
    OVER,
};

struct Socket
{
    Browser* m_Browser;
    int m_Id;
    Phase m_Phase;
    EMSCRIPTEN_WEBSOCKET_T m_Handle; // 0 or less: none
    double m_Due;                    // of emscripten_get_now: when WAITING or CONNECTING ends
    double m_Timeout;                // milliseconds
    std::string m_Url;
    std::string m_Protocols;
    double m_MessagesSent, m_MessagesReceived, m_BytesSent, m_BytesReceived;
    double m_ConnectedAt; // seconds since 1970; 0: never
};

// What one Lua state has of the browser.
struct Browser
{
    std::map<int, Socket*> m_Sockets; // until their DISCONNECTED is delivered
    std::deque<Event> m_Events;
    Event m_Rare;
    bool m_IsLent; // the first of m_Events was handed to Lua, and is to be taken away
    size_t m_Left; // events that this update delivers
    double m_Deadline;
    int m_LastId;
};

void Push(Socket* socket, int kind, int code, const std::string& text,
          const std::string& other = std::string(), bool clean = false)
{
    Event event;
    event.m_Id = socket->m_Id;
    event.m_Kind = kind;
    event.m_Code = code;
    event.m_Clean = clean;
    event.m_Text = text;
    event.m_Other = other;
    socket->m_Browser->m_Events.push_back(event);
}

// The last event of a socket.
void End(Socket* socket, int code, const std::string& reason, bool clean)
{
    socket->m_Phase = OVER;
    if (socket->m_Handle > 0)
    {
        emscripten_websocket_delete(socket->m_Handle);
        socket->m_Handle = 0;
    }
    Push(socket, EVENT_DISCONNECTED, code, reason, std::string(), clean);
}

void Fail(Socket* socket, int code, const char* stage, const std::string& text)
{
    Push(socket, EVENT_ERROR, code, text, stage);
    End(socket, 1006, "", false);
}

// Has the browser close it, without a word to us any more.
void Abandon(Socket* socket)
{
    EMSCRIPTEN_WEBSOCKET_T handle = socket->m_Handle;
    if (handle > 0)
    {
        emscripten_websocket_close(handle, 1000, "");
        emscripten_websocket_delete(handle);
        socket->m_Handle = 0;
    }
}

typedef EMSCRIPTEN_RESULT (*GetText)(EMSCRIPTEN_WEBSOCKET_T, char*, int);
typedef EMSCRIPTEN_RESULT (*GetSize)(EMSCRIPTEN_WEBSOCKET_T, int*);

std::string Text(EMSCRIPTEN_WEBSOCKET_T handle, GetSize get_size, GetText get_text)
{
    int size = 0; // with the zero at the end
    if (get_size(handle, &size) != EMSCRIPTEN_RESULT_SUCCESS || size <= 1)
    {
        return std::string();
    }
    std::string text((size_t)size, '\0');
    get_text(handle, &text[0], size);
    text.resize((size_t)size - 1);
    return text;
}

EM_BOOL OnOpen(int, const EmscriptenWebSocketOpenEvent*, void* data)
{
    Socket* socket = (Socket*)data;
    socket->m_Phase = OPEN;
    socket->m_ConnectedAt = emscripten_date_now() / 1000;
    EMSCRIPTEN_WEBSOCKET_T handle = socket->m_Handle;
    Push(socket, EVENT_CONNECTED, 0,
         Text(handle, emscripten_websocket_get_protocol_length, emscripten_websocket_get_protocol),
         Text(handle, emscripten_websocket_get_extensions_length,
              emscripten_websocket_get_extensions));
    return EM_TRUE;
}

EM_BOOL OnMessage(int, const EmscriptenWebSocketMessageEvent* event, void* data)
{
    Socket* socket = (Socket*)data;
    // A text comes with a zero behind it.
    size_t size = event->isText ? event->numBytes - 1 : event->numBytes;
    socket->m_MessagesReceived += 1;
    socket->m_BytesReceived += (double)size;
    Push(socket, EVENT_MESSAGE, event->isText ? TYPE_TEXT : TYPE_BINARY,
         std::string((const char*)event->data, size));
    return EM_TRUE;
}

// It says nothing; what there is to know comes with `close`, which follows.
EM_BOOL OnError(int, const EmscriptenWebSocketErrorEvent*, void*)
{
    return EM_TRUE;
}

EM_BOOL OnClose(int, const EmscriptenWebSocketCloseEvent* event, void* data)
{
    Socket* socket = (Socket*)data;
    if (socket->m_Phase == CONNECTING)
    {
        Fail(socket, ERROR_NETWORK, "connect", "the browser cannot connect; it does not say why");
        return EM_TRUE;
    }
    if (!event->wasClean && socket->m_Phase == OPEN)
    {
        Push(socket, EVENT_ERROR, ERROR_REMOTE_HOST_CLOSED,
             "the peer closed the connection without a Close frame", "open");
    }
    End(socket, event->code, event->reason, event->wasClean);
    return EM_TRUE;
}

// The URL with a WebSocket's scheme; empty if it has another one or none.
std::string WebSocketUrl(const std::string& url)
{
    static const char* const SCHEMES[][2] = {
        {"ws:", "ws:"}, {"wss:", "wss:"}, {"http:", "ws:"}, {"https:", "wss:"}};
    for (size_t i = 0; i < sizeof(SCHEMES) / sizeof(*SCHEMES); i++)
    {
        size_t size = strlen(SCHEMES[i][0]);
        if (strncasecmp(url.c_str(), SCHEMES[i][0], size) == 0)
        {
            return SCHEMES[i][1] + url.substr(size);
        }
    }
    return std::string();
}

void Open(Socket* socket, double now)
{
    // Links the function that websocket_browser_open calls by its name in JavaScript.
    static EMSCRIPTEN_WEBSOCKET_T (*const volatile linked)(EmscriptenWebSocketCreateAttributes*) =
        emscripten_websocket_new;
    (void)linked;
    std::string url = WebSocketUrl(socket->m_Url);
    if (url.empty())
    {
        Fail(socket, ERROR_UNSUPPORTED, "resolve", "no URL of a WebSocket: '" + socket->m_Url + "'");
        return;
    }
    EmscriptenWebSocketCreateAttributes attributes;
    emscripten_websocket_init_create_attributes(&attributes);
    attributes.url = url.c_str();
    attributes.protocols = socket->m_Protocols.empty() ? 0 : socket->m_Protocols.c_str();
    attributes.createOnMainThread = EM_TRUE;
    char reason[256] = "";
    socket->m_Handle = websocket_browser_open(&attributes, reason, sizeof(reason));
    if (socket->m_Handle <= 0)
    {
        bool forbidden = socket->m_Handle == -2;
        Fail(socket, forbidden ? ERROR_SOCKET_ACCESS : ERROR_UNSUPPORTED,
             forbidden ? "connect" : "resolve", reason);
        return;
    }
    socket->m_Phase = CONNECTING;
    socket->m_Due = now + socket->m_Timeout;
    emscripten_websocket_set_onopen_callback(socket->m_Handle, socket, OnOpen);
    emscripten_websocket_set_onmessage_callback(socket->m_Handle, socket, OnMessage);
    emscripten_websocket_set_onerror_callback(socket->m_Handle, socket, OnError);
    emscripten_websocket_set_onclose_callback(socket->m_Handle, socket, OnClose);
}

// What is due by the clock.
void Tick(Browser* browser)
{
    double now = emscripten_get_now();
    for (std::map<int, Socket*>::iterator at = browser->m_Sockets.begin();
         at != browser->m_Sockets.end(); ++at)
    {
        Socket* socket = at->second;
        if (socket->m_Phase == WAITING && now >= socket->m_Due)
        {
            Open(socket, now);
        }
        else if (socket->m_Phase == CONNECTING && now >= socket->m_Due)
        {
            Abandon(socket);
            Fail(socket, ERROR_SOCKET_TIMEOUT, "connect", "Connect sequence timed out");
        }
    }
}

// RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF.
bool IsUtf8(const unsigned char* text, size_t size)
{
    size_t at = 0;
    while (at < size)
    {
        unsigned char first = text[at++];
        if (first < 0x80)
        {
            continue;
        }
        int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
        if (first < 0xc2 || first > 0xf4 || size - at < (size_t)more)
        {
            return false;
        }
        unsigned char second = text[at];
        if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
            (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f))
        {
            return false;
        }
        for (; more > 0; more--)
        {
            if ((text[at++] & 0xc0) != 0x80)
            {
                return false;
            }
        }
    }
    return true;
}

Browser* Self(lua_State* L)
{
    return *(Browser**)lua_touserdata(L, lua_upvalueindex(1));
}

// The socket whose number is argument 1, or null.
Socket* Find(lua_State* L)
{
    std::map<int, Socket*>& sockets = Self(L)->m_Sockets;
    std::map<int, Socket*>::iterator found = sockets.find((int)lua_tointeger(L, 1));
    return found == sockets.end() ? 0 : found->second;
}

int Warn(lua_State* L)
{
    dmLogWarning("%s", luaL_checkstring(L, 1));
    return 0;
}

// Says once what the browser cannot do: upvalue 2 of the functions that use this.
void Miss(lua_State* L, const char* what)
{
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_pushstring(L, what);
    lua_call(L, 1, 0);
}

// connect(url, params): a number; nil and what is wrong. Upvalue 2: browser.lua's read.
int NativeConnect(lua_State* L)
{
    lua_settop(L, 2);
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_pushvalue(L, 2);
    lua_call(L, 1, 3); // 3 the subprotocols, or false and 4 what is wrong; 4 timeout, 5 delay
    if (!lua_toboolean(L, 3))
    {
        lua_pushnil(L);
        lua_pushvalue(L, 4);
        return 2;
    }
    const char* url = lua_tostring(L, 1);
    const char* protocols = lua_tostring(L, 3);
    lua_Number timeout = lua_tonumber(L, 4), delay = lua_tonumber(L, 5);
    Browser* browser = Self(L);
    Socket* socket = new Socket();
    socket->m_Browser = browser;
    socket->m_Id = ++browser->m_LastId;
    socket->m_Phase = WAITING;
    socket->m_Due = emscripten_get_now() + delay;
    socket->m_Timeout = timeout;
    socket->m_Url = url ? url : "";
    socket->m_Protocols = protocols;
    browser->m_Sockets[socket->m_Id] = socket;
    if (delay <= 0)
    {
        Open(socket, emscripten_get_now());
    }
    lua_pushinteger(L, socket->m_Id);
    return 1;
}

// close(id, code, reason). Upvalue 2: browser.lua's miss.
int NativeClose(lua_State* L)
{
    Socket* socket = Find(L);
    int code = (int)lua_tointeger(L, 2);
    const char* reason = lua_tostring(L, 3);
    if (socket && code != 1000 && code < 3000)
    {
        Miss(L, "close codes other than 1000 and 3000 to 4999: 1000 is sent");
        code = 1000;
    }
    if (socket && socket->m_Phase == OPEN)
    {
        socket->m_Phase = CLOSING;
        emscripten_websocket_close(socket->m_Handle, (unsigned short)code, reason);
    }
    else if (socket && socket->m_Phase < OPEN)
    {
        Abandon(socket);
        End(socket, code, reason ? reason : "", true);
    }
    return 0;
}

double Buffered(Socket* socket)
{
    unsigned long long amount = 0;
    if (socket->m_Handle > 0)
    {
        emscripten_websocket_get_buffered_amount(socket->m_Handle, &amount);
    }
    return (double)amount;
}

int NativeBuffered(lua_State* L)
{
    Socket* socket = Find(L);
    if (!socket)
    {
        return 0;
    }
    lua_pushnumber(L, Buffered(socket));
    return 1;
}

void PushStats(lua_State* L, Socket* socket)
{
    lua_createtable(L, 0, 5);
    lua_pushnumber(L, socket->m_MessagesSent);
    lua_setfield(L, -2, "messages_sent");
    lua_pushnumber(L, socket->m_MessagesReceived);
    lua_setfield(L, -2, "messages_received");
    lua_pushnumber(L, socket->m_BytesSent);
    lua_setfield(L, -2, "bytes_sent");
    lua_pushnumber(L, socket->m_BytesReceived);
    lua_setfield(L, -2, "bytes_received");
    if (socket->m_ConnectedAt > 0)
    {
        lua_pushnumber(L, socket->m_ConnectedAt);
        lua_setfield(L, -2, "connected_at");
    }
}

int NativeStats(lua_State* L)
{
    Socket* socket = Find(L);
    if (!socket)
    {
        return 0;
    }
    PushStats(L, socket);
    return 1;
}

int NativePause(lua_State* L)
{
    Miss(L, "pause: the browser reads on");
    return 0;
}

int Nothing(lua_State*)
{
    return 0;
}

// listen: nil, what is wrong, ERROR_*
int NativeListen(lua_State* L)
{
    Miss(L, "listen");
    lua_pushnil(L);
    lua_pushliteral(L, "a browser cannot listen");
    lua_pushinteger(L, ERROR_UNSUPPORTED);
    return 3;
}

// send(id, message, kind): the bytes taken; nil and what is wrong; or nothing, if it is none.
int NativeSend(lua_State* L)
{
    Socket* socket = Find(L);
    int type = lua_type(L, 2);
    if (!socket || (type != LUA_TSTRING && type != LUA_TNUMBER))
    {
        return 0;
    }
    size_t size = 0;
    const char* message = lua_tolstring(L, 2, &size);
    bool is_text = lua_tointeger(L, 3) == TYPE_TEXT;
    if (is_text && !IsUtf8((const unsigned char*)message, size))
    {
        lua_pushnil(L);
        lua_pushliteral(L, "bad argument #2 'message' (valid UTF-8 expected in a text message)");
        return 2;
    }
    // The browser may have closed it already; the event of that is on its way.
    if (socket->m_Phase == OPEN && is_text)
    {
        websocket_browser_send_text(socket->m_Handle, message, (int)size);
    }
    else if (socket->m_Phase == OPEN)
    {
        emscripten_websocket_send_binary(socket->m_Handle, (void*)message, (uint32_t)size);
    }
    socket->m_MessagesSent += 1;
    socket->m_BytesSent += (double)size;
    lua_pushnumber(L, (lua_Number)size);
    return 1;
}

// take(budget_ms): begins an update, and says how many events it has.
int NativeTake(lua_State* L)
{
    Browser* browser = Self(L);
    Tick(browser);
    browser->m_Left = browser->m_Events.size();
    browser->m_Deadline = lua_type(L, 1) == LUA_TNUMBER ? emscripten_get_now() + lua_tonumber(L, 1) : 0;
    lua_pushinteger(L, (lua_Integer)browser->m_Left);
    return 1;
}

void TakeBack(Browser* browser)
{
    if (browser->m_IsLent)
    {
        browser->m_IsLent = false;
        browser->m_Events.pop_front();
    }
}

// next(): id, message, type; the id of another event; or nothing.
int NativeNext(lua_State* L)
{
    Browser* browser = Self(L);
    TakeBack(browser);
    if (browser->m_Left == 0 ||
        (browser->m_Deadline > 0 && emscripten_get_now() >= browser->m_Deadline))
    {
        return 0;
    }
    browser->m_Left--;
    const Event& event = browser->m_Events.front();
    browser->m_IsLent = true;
    lua_pushinteger(L, event.m_Id);
    if (event.m_Kind != EVENT_MESSAGE)
    {
        browser->m_Rare = event;
        return 1;
    }
    lua_pushlstring(L, event.m_Text.data(), event.m_Text.size());
    lua_pushinteger(L, event.m_Code);
    return 3;
}

void PushText(lua_State* L, const std::string& text)
{
    lua_pushlstring(L, text.data(), text.size());
}

// DISCONNECTED, the code, the reason, whether it was clean, and what stays known.
int PushEnd(lua_State* L, Browser* browser)
{
    const Event& event = browser->m_Rare;
    lua_pushinteger(L, EVENT_DISCONNECTED);
    lua_pushinteger(L, event.m_Code);
    PushText(L, event.m_Text);
    lua_pushboolean(L, event.m_Clean);
    lua_createtable(L, 0, 2);
    std::map<int, Socket*>::iterator found = browser->m_Sockets.find(event.m_Id);
    if (found != browser->m_Sockets.end())
    {
        PushStats(L, found->second);
        lua_setfield(L, -2, "stats");
        lua_pushnumber(L, Buffered(found->second));
        lua_setfield(L, -2, "buffered");
        delete found->second;
        browser->m_Sockets.erase(found);
    }
    return 5;
}

// rare(): the event that is no message: EVENT_* and what there is to tell.
int NativeRare(lua_State* L)
{
    Browser* browser = Self(L);
    const Event& event = browser->m_Rare;
    switch (event.m_Kind)
    {
    case EVENT_CONNECTED:
        lua_pushinteger(L, EVENT_CONNECTED);
        lua_createtable(L, 0, 2);
        PushText(L, event.m_Text);
        lua_setfield(L, -2, "protocol");
        PushText(L, event.m_Other);
        lua_setfield(L, -2, "extensions");
        return 2;
    case EVENT_ERROR:
        lua_pushinteger(L, EVENT_ERROR);
        PushText(L, event.m_Text);
        lua_pushinteger(L, event.m_Code);
        PushText(L, event.m_Other);
        return 4;
    default:
        return PushEnd(L, browser);
    }
}

int NativeFinish(lua_State* L)
{
    TakeBack(Self(L));
    return 0;
}

int NativeSleep(lua_State* L)
{
    return luaL_error(L, "a browser cannot wait: use callbacks, or a coroutine");
}

int NativeDescriptor(lua_State* L)
{
    lua_pushnil(L);
    lua_pushliteral(L, "a browser has no descriptor to wait on");
    return 2;
}

int NativeIsUtf8(lua_State* L)
{
    size_t size = 0;
    const char* text = luaL_checklstring(L, 1, &size);
    lua_pushboolean(L, IsUtf8((const unsigned char*)text, size));
    return 1;
}

int NativeNow(lua_State* L)
{
    lua_pushnumber(L, emscripten_get_now());
    return 1;
}

int Collect(lua_State* L)
{
    Browser** block = (Browser**)lua_touserdata(L, 1);
    Browser* browser = *block;
    *block = 0;
    if (browser)
    {
        for (std::map<int, Socket*>::iterator at = browser->m_Sockets.begin();
             at != browser->m_Sockets.end(); ++at)
        {
            Abandon(at->second);
            delete at->second;
        }
        delete browser;
    }
    return 0;
}

void PushBrowser(lua_State* L)
{
    Browser** block = (Browser**)lua_newuserdata(L, sizeof(Browser*));
    *block = 0;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, Collect);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    *block = new Browser();
}

// Calls the chunk on the stack's top below its arguments.
void CallText(lua_State* L, const unsigned char* text, size_t size, const char* name, int results)
{
    int arguments = lua_gettop(L);
    if (luaL_loadbuffer(L, (const char*)text, size, name) != 0)
    {
        lua_error(L);
    }
    lua_insert(L, 1);
    lua_call(L, arguments, results);
}

// What `require` of an embedded file calls: upvalue 1 is the file, upvalue 2 the module.
int LoadFile(lua_State* L)
{
    const EmbeddedFile* file = (const EmbeddedFile*)lua_touserdata(L, lua_upvalueindex(1));
    lua_settop(L, 0);
    const char* name = lua_pushfstring(L, "=websocket.%s", file->m_Name);
    if (luaL_loadbuffer(L, (const char*)file->m_Text, file->m_Size, name) != 0)
    {
        return lua_error(L);
    }
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_call(L, 1, 1);
    return 1;
}

struct Native
{
    const char* m_Name;
    lua_CFunction m_Function;
    int m_Helper; // what is its upvalue 2: nothing, or the stack's index of a function
};

// Leaves the table of native functions. browser.lua's functions are at 1 (read) and 2 (miss).
void PushNatives(lua_State* L)
{
    const Native NATIVES[] = {
        {"connect", NativeConnect, 1},
        {"close", NativeClose, 2},
        {"buffered", NativeBuffered, 0},
        {"stats", NativeStats, 0},
        {"pause", NativePause, 2},
        {"resume", Nothing, 0},
        {"listen", NativeListen, 2},
        {"close_server", Nothing, 0},
        {"server_connections", Nothing, 0},
        {"send", NativeSend, 0},
        {"take", NativeTake, 0},
        {"next", NativeNext, 0},
        {"rare", NativeRare, 0},
        {"finish", NativeFinish, 0},
        {"sleep", NativeSleep, 0},
        {"fd", NativeDescriptor, 0},
        {"is_utf8", NativeIsUtf8, 0},
        {"now", NativeNow, 0},
    };
    lua_newtable(L);
    int table = lua_gettop(L);
    PushBrowser(L);
    for (size_t i = 0; i < sizeof(NATIVES) / sizeof(*NATIVES); i++)
    {
        const Native& native = NATIVES[i];
        lua_pushvalue(L, table + 1);
        if (native.m_Helper)
        {
            lua_pushvalue(L, native.m_Helper);
        }
        lua_pushcclosure(L, native.m_Function, native.m_Helper ? 2 : 1);
        lua_setfield(L, table, native.m_Name);
    }
    lua_settop(L, table);
}

void PushConstants(lua_State* L)
{
    lua_newtable(L);
    lua_pushstring(L, EMBEDDED_VERSION);
    lua_setfield(L, -2, "_VERSION");
    for (size_t i = 0; i < sizeof(EMBEDDED_CONSTANTS) / sizeof(*EMBEDDED_CONSTANTS); i++)
    {
        lua_pushinteger(L, EMBEDDED_CONSTANTS[i].m_Value);
        lua_setfield(L, -2, EMBEDDED_CONSTANTS[i].m_Name);
    }
}

// Makes every file available to `require`, where the loaders ask package.preload.
void Embed(lua_State* L, int module)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    for (size_t i = 0; i < sizeof(EMBEDDED_FILES) / sizeof(*EMBEDDED_FILES); i++)
    {
        const EmbeddedFile* file = &EMBEDDED_FILES[i];
        lua_pushfstring(L, "websocket.%s", file->m_Name);
        lua_pushlightuserdata(L, (void*)file);
        lua_pushvalue(L, module);
        lua_pushcclosure(L, LoadFile, 2);
        lua_rawset(L, -3);
    }
    lua_pop(L, 2);
}
} // namespace

extern "C" int luaopen_websocket(lua_State* L)
{
    lua_settop(L, 0);
    lua_getfield(L, LUA_REGISTRYINDEX, "websocket");
    if (lua_istable(L, 1))
    {
        return 1; // a state has one
    }
    lua_settop(L, 0);
    lua_pushcfunction(L, Warn);
    CallText(L, BROWSER_TEXT, sizeof(BROWSER_TEXT), "=websocket.browser", 2);
    PushNatives(L);
    PushConstants(L);
    lua_remove(L, 1);
    lua_remove(L, 1);
    CallText(L, MODULE_TEXT, sizeof(MODULE_TEXT), "=websocket", 1);
    Embed(L, 1);
    lua_pushvalue(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, "websocket");
    return 1;
}

#endif
