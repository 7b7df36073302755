// HTML5: luaopen_websocket on the browser's own WebSocket. The same module.lua as everywhere else
// runs on native functions that are written here anew.
//
// A Lua error leaves a function here by longjmp, so nothing with a destructor stands on the stack
// across a call into Lua: strings stay in the sockets and events that own them. The file is longer
// than ours are, for it is a list: a short function for each that module.lua and the classes call.

#if defined(__EMSCRIPTEN__)

#define DLIB_LOG_DOMAIN "Websocket"

#include <dmsdk/sdk.h>

#include "browser_sockets.h"
#include "embedded.h"

#include <emscripten/emscripten.h>
#include <string.h>

namespace
{
using namespace websocket;

// The upvalues of every native function. A helper is browser.lua's read or miss, or nil.
enum
{
    BROWSER = 1,
    HELPER,
    OBJECTS, // what module.lua knows by a number
    LOOP,    // what `update` calls: at DRAIN and HANDLER
};

// In the table of LOOP; under HANDED which upvalue of `drain` counts the events it has handed over.
enum
{
    DRAIN = 1,
    HANDLER,
    HANDED,
};

char g_Key; // its address is the registry's key for the module table

const char* const CANNOT_WAIT = "a browser cannot wait: use callbacks, or a coroutine";

// What `update` tells module.lua; DONE and RAISED as in src/lua/calls.rs.
enum
{
    IDLE,
    DONE,
    CALLBACK_RAISED,
    RAISED,
};

Browser* Self(lua_State* L)
{
    return *(Browser**)lua_touserdata(L, lua_upvalueindex(BROWSER));
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

// Says once what the browser cannot do: the helper is browser.lua's miss.
void Miss(lua_State* L, const char* what)
{
    lua_pushvalue(L, lua_upvalueindex(HELPER));
    lua_pushstring(L, what);
    lua_call(L, 1, 0);
}

// The table at 1 stands for the next number, which the table at 2 gets: all that may raise, before
// anything begins.
void Adopt(lua_State* L)
{
    int id = Self(L)->m_LastId + 1;
    lua_pushinteger(L, id);
    lua_setfield(L, 2, "id");
    lua_pushinteger(L, id);
    lua_pushvalue(L, 1);
    lua_rawset(L, lua_upvalueindex(OBJECTS));
}

// Forgets what module.lua knows by the number.
void Retire(lua_State* L, int id)
{
    lua_pushinteger(L, id);
    lua_pushnil(L);
    lua_rawset(L, lua_upvalueindex(OBJECTS));
}

// connect(connection, record, url, params): what is wrong with the params, or nothing. The helper is
// browser.lua's read.
int NativeConnect(lua_State* L)
{
    lua_settop(L, 4);
    lua_pushvalue(L, lua_upvalueindex(HELPER));
    lua_pushvalue(L, 4);
    lua_call(L, 1, 3); // 5 the subprotocols, or false and 6 what is wrong; 6 timeout, 7 delay
    if (!lua_toboolean(L, 5))
    {
        lua_settop(L, 6);
        return 1;
    }
    Adopt(L);
    const char* url = lua_tostring(L, 3);
    NewSocket(Self(L), url ? url : "", lua_tostring(L, 5), lua_tonumber(L, 6), lua_tonumber(L, 7));
    return 0;
}

// set_timer(object, record, delay_ms)
int NativeSetTimer(lua_State* L)
{
    Adopt(L);
    NewTimer(Self(L), lua_tonumber(L, 3));
    return 0;
}

int NativeCancelTimer(lua_State* L)
{
    int id = (int)lua_tointeger(L, 1);
    Self(L)->m_Timers.erase(id);
    Retire(L, id);
    return 0;
}

// live(): connections and timers; and goodbyes under way, which are the browser's.
int NativeLive(lua_State* L)
{
    Browser* browser = Self(L);
    lua_pushinteger(L, (lua_Integer)(browser->m_Sockets.size() + browser->m_Timers.size()));
    lua_pushinteger(L, 0);
    return 2;
}

// delivers(): whether callbacks are being run, and whether this is one.
int NativeDelivers(lua_State* L)
{
    Browser* browser = Self(L);
    lua_pushboolean(L, browser->m_Delivering != 0);
    lua_pushboolean(L, browser->m_Delivering == L);
    return 2;
}

// The code at 2, as a browser takes it.
int SendableCode(lua_State* L)
{
    int code = (int)lua_tointeger(L, 2);
    if (code != 1000 && code < 3000)
    {
        Miss(L, "close codes other than 1000 and 3000 to 4999: 1000 is sent");
        code = 1000;
    }
    return code;
}

// close(id, code, reason)
int NativeClose(lua_State* L)
{
    if (Socket* socket = Find(L))
    {
        int code = SendableCode(L);
        const char* reason = lua_tostring(L, 3);
        Close(socket, code, reason ? reason : "");
    }
    return 0;
}

// leave(id, code, reason): the next update tells the end.
int NativeLeave(lua_State* L)
{
    if (Socket* socket = Find(L))
    {
        int sent = SendableCode(L);
        const char* reason = lua_tostring(L, 3);
        Leave(socket, (int)lua_tointeger(L, 2), sent, reason ? reason : "");
    }
    return 0;
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

// Messages and bytes, sent and received; no round trips; when the connection opened.
int PushStats(lua_State* L, Socket* socket)
{
    lua_pushnumber(L, socket->m_MessagesSent);
    lua_pushnumber(L, socket->m_MessagesReceived);
    lua_pushnumber(L, socket->m_BytesSent);
    lua_pushnumber(L, socket->m_BytesReceived);
    for (int i = 0; i < 3; i++)
    {
        lua_pushnil(L);
    }
    if (socket->m_ConnectedAt <= 0)
    {
        return 7;
    }
    lua_pushnumber(L, socket->m_ConnectedAt);
    return 8;
}

int NativeStats(lua_State* L)
{
    Socket* socket = Find(L);
    return socket ? PushStats(L, socket) : 0;
}

int NativePause(lua_State* L)
{
    Miss(L, "pause: the browser reads on");
    return 0;
}

// parse_url(text): its serialisation, its origin and its port; or nil and what is wrong.
int NativeParseUrl(lua_State* L)
{
    char parts[2][PARSED_SIZE];
    int port = ParseUrl(luaL_checkstring(L, 1), parts[0], parts[1]);
    if (port < 0)
    {
        lua_pushnil(L);
        lua_pushstring(L, parts[0]);
        return 2;
    }
    lua_pushstring(L, parts[0]);
    lua_pushstring(L, parts[1]);
    lua_pushinteger(L, port);
    return 3;
}

int NativeRandom(lua_State* L)
{
    lua_pushnumber(L, emscripten_random());
    return 1;
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
    Send(socket, is_text, message, size);
    lua_pushnumber(L, (lua_Number)size);
    return 1;
}

// send_latest(id, message, kind, key): as send; what waits in the browser stays.
int NativeSendLatest(lua_State* L)
{
    Miss(L, "latest: the browser sends every message");
    return NativeSend(L);
}

// set_loop(drain, handler): see src/lua/calls.rs.
int NativeSetLoop(lua_State* L)
{
    bool is_handed;
    int index = 0;
    do
    {
        if (!lua_getupvalue(L, 1, ++index))
        {
            return luaL_error(L, "module.lua does not count what it hands over");
        }
        is_handed = lua_rawequal(L, -1, 2) != 0;
        lua_pop(L, 1);
    } while (!is_handed);
    lua_settop(L, 2);
    lua_pushinteger(L, index);
    lua_rawseti(L, lua_upvalueindex(LOOP), HANDED);
    lua_rawseti(L, lua_upvalueindex(LOOP), HANDLER);
    lua_rawseti(L, lua_upvalueindex(LOOP), DRAIN);
    return 0;
}

// Pushes `drain`, and behind it what it has counted. Returns the number of that upvalue.
int PushHanded(lua_State* L)
{
    lua_rawgeti(L, lua_upvalueindex(LOOP), HANDED);
    int index = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    lua_rawgeti(L, lua_upvalueindex(LOOP), DRAIN);
    lua_getupvalue(L, -1, index);
    return index;
}

// Takes the event off that was shown. After its last one nobody needs to know its number.
void TakeOff(lua_State* L, Browser* browser)
{
    int id = browser->m_Shown->m_Id, kind = browser->m_Shown->m_Kind;
    Pop(browser);
    if (kind == EVENT_DISCONNECTED || kind == EVENT_TIMER)
    {
        Retire(L, id);
    }
}

// What came of the update: the event under way stays, unless it was handed to its callback.
int Settle(lua_State* L, Browser* browser, bool is_fine)
{
    PushHanded(L);
    int handed = (int)lua_tointeger(L, -1);
    lua_pop(L, 2);
    bool was_handed = browser->m_Shown && handed == browser->m_Seen;
    if (was_handed)
    {
        TakeOff(L, browser);
    }
    else if (browser->m_Shown)
    {
        browser->m_Shown = 0;
        browser->m_Seen = handed;
    }
    return is_fine ? DONE : was_handed ? CALLBACK_RAISED : RAISED;
}

// Calls `drain`.
int Deliver(lua_State* L, Browser* browser)
{
    lua_settop(L, 0);
    lua_rawgeti(L, lua_upvalueindex(LOOP), HANDLER);
    lua_rawgeti(L, lua_upvalueindex(LOOP), DRAIN);
    browser->m_Delivering = L;
    bool is_fine = lua_pcall(L, 0, 0, 1) == 0;
    browser->m_Delivering = 0;
    lua_pushinteger(L, Settle(L, browser, is_fine));
    lua_insert(L, 2);
    return lua_gettop(L) - 1;
}

// update(budget_ms): see src/lua/calls.rs.
int NativeUpdate(lua_State* L)
{
    Browser* browser = Self(L);
    if (browser->m_Delivering)
    {
        return 0;
    }
    double budget = lua_tonumber(L, 1);
    if (!Begin(browser, lua_isnoneornil(L, 1) ? -1 : budget > 0 ? budget : 0))
    {
        lua_pushinteger(L, IDLE);
        return 1;
    }
    int index = PushHanded(L);
    lua_pop(L, 1);
    lua_pushinteger(L, 0);
    lua_setupvalue(L, -2, index);
    return Deliver(L, browser);
}

// go_on(): the rest of an update that an error has interrupted.
int NativeGoOn(lua_State* L)
{
    Browser* browser = Self(L);
    return browser->m_Delivering ? 0 : Deliver(L, browser);
}

// next(): id, message, type; the id of another event; or nothing.
int NativeNext(lua_State* L)
{
    Browser* browser = Self(L);
    if (!browser->m_Delivering)
    {
        return 0;
    }
    if (browser->m_Shown)
    {
        TakeOff(L, browser);
    }
    const Event* event = Show(browser);
    if (!event)
    {
        return 0;
    }
    lua_pushinteger(L, event->m_Id);
    if (event->m_Kind != EVENT_MESSAGE)
    {
        return 1;
    }
    lua_pushlstring(L, event->m_Text.data(), event->m_Text.size());
    lua_pushinteger(L, event->m_Code);
    return 3;
}

void PushText(lua_State* L, const std::string& text)
{
    lua_pushlstring(L, text.data(), text.size());
}

// rare(): EVENT_* and what there is to tell of the event that is no message.
int NativeRare(lua_State* L)
{
    Browser* browser = Self(L);
    if (!browser->m_Shown)
    {
        return 0;
    }
    const Event& event = *browser->m_Shown;
    lua_pushinteger(L, event.m_Kind);
    switch (event.m_Kind)
    {
    case EVENT_CONNECTED:
        PushText(L, event.m_Text);
        PushText(L, event.m_Other);
        return 3;
    case EVENT_ERROR:
        PushText(L, event.m_Text);
        lua_pushinteger(L, event.m_Code);
        PushText(L, event.m_Other);
        return 4;
    case EVENT_DISCONNECTED:
    {
        Socket* socket = browser->m_Sockets[event.m_Id];
        lua_pushinteger(L, event.m_Code);
        PushText(L, event.m_Text);
        lua_pushboolean(L, event.m_Clean);
        lua_pushnumber(L, Buffered(socket));
        return 5 + PushStats(L, socket);
    }
    default:
        return 1;
    }
}

int NativeSleep(lua_State* L)
{
    if (Self(L)->m_Delivering)
    {
        return 0;
    }
    return luaL_error(L, CANNOT_WAIT);
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
        DeleteBrowser(browser);
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
    *block = NewBrowser();
}

// Pushes the function that a text is.
void PushChunk(lua_State* L, const unsigned char* text, size_t size, const char* name)
{
    if (luaL_loadbuffer(L, (const char*)text, size, name) != 0)
    {
        lua_error(L);
    }
}

// load(name): the function that an embedded file is, or nothing.
int NativeLoad(lua_State* L)
{
    const char* name = luaL_checkstring(L, 1);
    for (size_t i = 0; i < sizeof(EMBEDDED_FILES) / sizeof(*EMBEDDED_FILES); i++)
    {
        const EmbeddedFile& file = EMBEDDED_FILES[i];
        if (strcmp(file.m_Name, name) == 0)
        {
            PushChunk(L, file.m_Text, file.m_Size, lua_pushfstring(L, "=websocket.%s", name));
            return 1;
        }
    }
    return 0;
}

struct Native
{
    const char* m_Name;
    lua_CFunction m_Function;
    int m_Helper; // the stack's index of its helper; 0: none
};

// A list of the names, up to a null, as a field of the table at the stack's top.
void SetList(lua_State* L, const char* field, const char* const* names)
{
    lua_newtable(L);
    for (int i = 0; names[i]; i++)
    {
        lua_pushstring(L, names[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, field);
}

// Leaves the table of native functions. browser.lua's functions are at 1 (read) and 2 (miss).
void PushNatives(lua_State* L)
{
    const Native NATIVES[] = {
        {"set_loop", NativeSetLoop, 0},
        {"update", NativeUpdate, 0},
        {"go_on", NativeGoOn, 0},
        {"next", NativeNext, 0},
        {"rare", NativeRare, 0},
        {"send", NativeSend, 0},
        {"send_latest", NativeSendLatest, 2},
        {"broadcast", Nothing, 0},
        {"connect", NativeConnect, 1},
        {"close", NativeClose, 2},
        {"leave", NativeLeave, 2},
        {"buffered", NativeBuffered, 0},
        {"stats", NativeStats, 0},
        {"pause", NativePause, 2},
        {"resume", Nothing, 0},
        {"listen", NativeListen, 2},
        {"close_server", Nothing, 0},
        {"answer", Nothing, 0},
        {"reload", Nothing, 0},
        {"server_connections", Nothing, 0},
        {"set_timer", NativeSetTimer, 0},
        {"cancel_timer", NativeCancelTimer, 0},
        {"live", NativeLive, 0},
        {"delivers", NativeDelivers, 0},
        {"sleep", NativeSleep, 0},
        {"fd", NativeDescriptor, 0},
        {"stop", Nothing, 0},
        {"disable_warnings", Nothing, 0},
        {"is_utf8", NativeIsUtf8, 0},
        {"parse_url", NativeParseUrl, 0},
        {"random", NativeRandom, 0},
        {"now", NativeNow, 0},
        {"load", NativeLoad, 0},
    };
    lua_newtable(L);
    int table = lua_gettop(L);
    PushBrowser(L);
    lua_newtable(L); // the objects
    lua_newtable(L); // the loop
    for (size_t i = 0; i < sizeof(NATIVES) / sizeof(*NATIVES); i++)
    {
        const Native& native = NATIVES[i];
        lua_pushvalue(L, table + 1);
        if (native.m_Helper)
        {
            lua_pushvalue(L, native.m_Helper);
        }
        else
        {
            lua_pushnil(L);
        }
        lua_pushvalue(L, table + 2);
        lua_pushvalue(L, table + 3);
        lua_pushcclosure(L, native.m_Function, 4);
        lua_setfield(L, table, native.m_Name);
    }
    lua_pop(L, 1);
    lua_setfield(L, table, "objects");
    lua_settop(L, table);
    lua_pushstring(L, CANNOT_WAIT);
    lua_setfield(L, table, "cannot_wait"); // so that stream.lua begins nothing
    SetList(L, "number_keys", KEYS_numbers);
    SetList(L, "connect_keys", KEYS_params);
    SetList(L, "listen_keys", KEYS_listen_params);
    SetList(L, "compression_keys", KEYS_compression);
    SetList(L, "tls_keys", KEYS_tls);
    SetList(L, "listen_tls_keys", KEYS_identity);
    SetList(L, "trace_keys", KEYS_trace_options);
    SetList(L, "files", FILE_NAMES);
}

void PushConstants(lua_State* L)
{
    lua_newtable(L);
    lua_pushstring(L, EMBEDDED_VERSION);
    lua_setfield(L, -2, "_VERSION");
    lua_pushinteger(L, EVENT_TIMER);
    lua_setfield(L, -2, "EVENT_TIMER"); // module.lua's own
    lua_pushinteger(L, EVENT_ASKED);
    lua_setfield(L, -2, "EVENT_ASKED"); // a server's, which there is none of
    lua_pushinteger(L, EVENT_TRACED);
    lua_setfield(L, -2, "EVENT_TRACED"); // there is no seeing inside of a browser's
    for (size_t i = 0; i < sizeof(EMBEDDED_CONSTANTS) / sizeof(*EMBEDDED_CONSTANTS); i++)
    {
        lua_pushinteger(L, EMBEDDED_CONSTANTS[i].m_Value);
        lua_setfield(L, -2, EMBEDDED_CONSTANTS[i].m_Name);
    }
}

} // namespace

extern "C" int luaopen_websocket(lua_State* L)
{
    lua_settop(L, 0);
    lua_pushlightuserdata(L, &g_Key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    if (lua_istable(L, 1))
    {
        return 1; // a state has one
    }
    lua_settop(L, 0);
    PushChunk(L, BROWSER_TEXT, sizeof(BROWSER_TEXT), "=websocket.browser");
    lua_pushcfunction(L, Warn);
    lua_call(L, 1, 2);
    PushNatives(L);
    PushChunk(L, MODULE_TEXT, sizeof(MODULE_TEXT), "=websocket");
    lua_insert(L, 3);
    PushConstants(L);
    lua_call(L, 2, 1);
    lua_pushlightuserdata(L, &g_Key);
    lua_pushvalue(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
    return 1;
}

#endif
