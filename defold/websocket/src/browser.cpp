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

namespace
{
using namespace websocket;

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
    Socket* socket = NewSocket(Self(L), url ? url : "", protocols, timeout, delay);
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
    if (socket)
    {
        Close(socket, code, reason ? reason : "");
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

// take(budget_ms): begins an update, and says how many events it has.
int NativeTake(lua_State* L)
{
    Browser* browser = Self(L);
    Tick(browser);
    browser->m_Left = browser->m_Events.size();
    bool is_bounded = lua_type(L, 1) == LUA_TNUMBER;
    browser->m_Deadline = is_bounded ? emscripten_get_now() + lua_tonumber(L, 1) : 0;
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

// What `require` of an embedded file calls: upvalue 1 is the file, upvalues 2 to 4 are what it is
// called with: the module, `require`, and the table that has the native functions.
int LoadFile(lua_State* L)
{
    const EmbeddedFile* file = (const EmbeddedFile*)lua_touserdata(L, lua_upvalueindex(1));
    lua_settop(L, 0);
    const char* name = lua_pushfstring(L, "=websocket.%s", file->m_Name);
    if (luaL_loadbuffer(L, (const char*)file->m_Text, file->m_Size, name) != 0)
    {
        return lua_error(L);
    }
    for (int upvalue = 2; upvalue <= 4; upvalue++)
    {
        lua_pushvalue(L, lua_upvalueindex(upvalue));
    }
    lua_call(L, 3, 1);
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
        {"parse_url", NativeParseUrl, 0},
        {"random", NativeRandom, 0},
        {"stop", Nothing, 0},
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

// Makes every file available to `require`, where the loaders ask package.preload. The module is
// at 1, the native functions at 2.
void Embed(lua_State* L)
{
    lua_newtable(L);
    lua_pushvalue(L, 2);
    lua_setfield(L, 3, "native");
    lua_getglobal(L, "package");
    lua_getfield(L, 4, "preload");
    for (size_t i = 0; i < sizeof(EMBEDDED_FILES) / sizeof(*EMBEDDED_FILES); i++)
    {
        const EmbeddedFile* file = &EMBEDDED_FILES[i];
        lua_pushfstring(L, "websocket.%s", file->m_Name);
        lua_pushlightuserdata(L, (void*)file);
        lua_pushvalue(L, 1);
        lua_getglobal(L, "require");
        lua_pushvalue(L, 3);
        lua_pushcclosure(L, LoadFile, 4);
        lua_rawset(L, 5);
    }
    lua_settop(L, 1);
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
    PushChunk(L, BROWSER_TEXT, sizeof(BROWSER_TEXT), "=websocket.browser");
    lua_pushcfunction(L, Warn);
    lua_call(L, 1, 2);
    PushNatives(L);
    PushChunk(L, MODULE_TEXT, sizeof(MODULE_TEXT), "=websocket");
    lua_pushvalue(L, 3);
    PushConstants(L);
    lua_call(L, 2, 1); // 3 the native functions, 4 the module
    lua_replace(L, 1);
    lua_replace(L, 2);
    lua_settop(L, 2);
    Embed(L);
    lua_pushvalue(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, "websocket");
    return 1;
}

#endif
