// Callbacks run with the script instance that gave them, through the engine's own calls for that.
//
// A Lua error leaves a function here by longjmp or by unwinding, so nothing with a destructor
// stands on the stack across a call into Lua.

#define DLIB_LOG_DOMAIN "Websocket"

#include "callbacks.h"

#include "registry.h"

#include <string.h>

namespace
{
using websocket::PushRegistered;
using websocket::Register;

const int EVENT_DISCONNECTED = 1; // as in the module's table
const char* const CALLBACK_TYPE = "websocket.callback";

// The arguments of the module's `onbegin`.
enum
{
    FUNCTION = 1,
    OBJECT,
    ENDING,
};

char KEY_ENDS;      // weak: what has begun, each with the name of its method that ends it
char KEY_CALLBACKS; // weak: every Callback

// A function that an event is to call, and the instance that ran when it was given, as the engine
// keeps them. Null once it is over.
struct Callback
{
    dmScript::LuaCallbackInfo* m_Info;
    bool m_IsServers; // its last event is not known here
};

void Release(Callback* callback)
{
    dmScript::LuaCallbackInfo* info = callback->m_Info;
    callback->m_Info = 0;
    if (info)
    {
        dmScript::DestroyCallback(info);
    }
}

int CollectCallback(lua_State* L)
{
    Release((Callback*)lua_touserdata(L, 1));
    return 0;
}

// The message handler of Shield: the error and the stack that raised it.
int KeepStack(lua_State* L)
{
    lua_settop(L, 1);
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, 1);
    lua_rawseti(L, 2, 1);
    lua_getglobal(L, "debug");
    if (lua_istable(L, -1))
    {
        lua_getfield(L, -1, "traceback");
        lua_pushliteral(L, "");
        lua_pushinteger(L, 2);
        if (lua_isfunction(L, -3) && lua_pcall(L, 2, 1, 0) == 0)
        {
            lua_rawseti(L, 2, 2);
        }
    }
    lua_settop(L, 2);
    return 1;
}

bool TakesErrors(lua_State* L, int self)
{
    if (!lua_istable(L, self))
    {
        return false;
    }
    lua_pushliteral(L, "_take_error");
    lua_rawget(L, self);
    bool takes = lua_isfunction(L, -1);
    lua_pop(L, 1);
    return takes;
}

// Calls callback(self, connection, data) for a browser-style object. What its listener raises
// goes to `_take_error` of `self`, as when the module itself calls.
int Shield(lua_State* L)
{
    lua_settop(L, 4);
    lua_pushvalue(L, 2);
    lua_insert(L, 1); // 1 self, 2 callback, 3 self, 4 connection, 5 data
    lua_pushcfunction(L, KeepStack);
    lua_insert(L, 2);
    if (lua_pcall(L, 3, 0, 2) == 0)
    {
        return 0;
    }
    int kept = lua_gettop(L);
    if (!lua_istable(L, kept)) // memory ran out
    {
        return lua_error(L);
    }
    lua_getfield(L, 1, "_take_error");
    lua_rawgeti(L, kept, 1);
    lua_rawgeti(L, kept, 2);
    if (lua_isnil(L, -1))
    {
        lua_pop(L, 1);
        lua_pushliteral(L, "");
    }
    lua_call(L, 2, 0);
    return 0;
}

// Runs the script's function with its instance. `self` (1) is what the script gave as
// params.self, or nil for the instance; `connection` (2), `data` (3).
void Run(lua_State* L, Callback* callback)
{
    lua_State* target = dmScript::GetCallbackLuaContext(callback->m_Info);
    if (!lua_checkstack(target, 12))
    {
        dmLogError("an event is lost: Lua's stack is full");
        return;
    }
    if (!dmScript::SetupCallback(callback->m_Info))
    {
        return;
    }
    // The function and the instance are on the stack of the context's main thread.
    bool shields = TakesErrors(L, 1);
    if (!lua_isnil(L, 1))
    {
        lua_pop(target, 1);
        lua_pushvalue(L, 1);
        lua_xmove(L, target, L == target ? 0 : 1);
    }
    if (shields)
    {
        lua_pushcfunction(target, Shield);
        lua_insert(target, -3);
    }
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_xmove(L, target, L == target ? 0 : 2);
    // Logs what the callback raises, with its stack.
    dmScript::PCall(target, shields ? 4 : 3, 0);
    dmScript::TeardownCallback(callback->m_Info);
}

// Whether nothing comes after this: `data` (3) is nil where a timer rings.
bool IsLast(lua_State* L)
{
    if (!lua_istable(L, 3))
    {
        return true;
    }
    lua_getfield(L, 3, "event");
    bool is_last = lua_tointeger(L, -1) == EVENT_DISCONNECTED;
    lua_pop(L, 1);
    return is_last;
}

// The callback that the module has: hands an event on while the instance is there.
int Deliver(lua_State* L)
{
    Callback* callback = (Callback*)lua_touserdata(L, lua_upvalueindex(1));
    lua_settop(L, 3);
    bool is_last = !callback->m_IsServers && IsLast(L);
    if (callback->m_Info && dmScript::IsCallbackValid(callback->m_Info))
    {
        Run(L, callback);
        if (!is_last)
        {
            return 0;
        }
    }
    Release(callback);
    return 0;
}

// False, and nothing is pushed, where no script instance runs.
bool PushCallback(lua_State* L, int function, bool is_servers)
{
    Callback* callback = (Callback*)lua_newuserdata(L, sizeof(Callback));
    callback->m_Info = 0;
    callback->m_IsServers = is_servers;
    luaL_getmetatable(L, CALLBACK_TYPE);
    lua_setmetatable(L, -2);
    callback->m_Info = dmScript::CreateCallback(L, function);
    if (!callback->m_Info)
    {
        lua_pop(L, 1);
        return false;
    }
    PushRegistered(L, &KEY_CALLBACKS);
    lua_pushvalue(L, -2);
    lua_pushboolean(L, 1);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    return true;
}

// Notes how Finalize ends the object at OBJECT.
void Remember(lua_State* L)
{
    PushRegistered(L, &KEY_ENDS);
    lua_pushvalue(L, OBJECT);
    lua_pushvalue(L, ENDING);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

// Says goodbye: every server and connection closes with 1001, "going away", and no timer rings any
// more. The workers send it; the end of the Lua state waits for them.
void CloseAll(lua_State* L)
{
    PushRegistered(L, &KEY_ENDS);
    int ends = lua_gettop(L);
    lua_pushnil(L);
    while (lua_istable(L, ends) && lua_next(L, ends))
    {
        int object = ends + 1; // above it the name of its method
        lua_getfield(L, object, lua_tostring(L, -1));
        lua_pushvalue(L, object);
        lua_pushinteger(L, 1001);
        if (lua_pcall(L, 2, 0, 0) != 0)
        {
            const char* text = lua_tostring(L, -1);
            dmLogError("%s", text ? text : "an error that is no text");
        }
        lua_settop(L, object);
    }
    lua_settop(L, ends - 1);
}

// A table that keeps no key alive.
void PushWeak(lua_State* L)
{
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
}
} // namespace

void websocket::OpenCallbacks(lua_State* L)
{
    luaL_newmetatable(L, CALLBACK_TYPE);
    lua_pushcfunction(L, CollectCallback);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    PushWeak(L);
    Register(L, &KEY_ENDS);
    PushWeak(L);
    Register(L, &KEY_CALLBACKS);
}

int websocket::Keep(lua_State* L)
{
    lua_settop(L, ENDING);
    bool is_servers = strcmp(luaL_checkstring(L, ENDING), "close") == 0;
    if (!PushCallback(L, FUNCTION, is_servers))
    {
        lua_pushnil(L);
        lua_pushliteral(L, "a callback needs a script instance: call this from within a script");
        return 2;
    }
    Remember(L);
    lua_pushcclosure(L, Deliver, 1);
    return 1;
}

// The engine's half of a callback must be given back while its script context is whole: when
// the state closes, finalizers run too late.
void websocket::CloseCallbacks(lua_State* L)
{
    lua_settop(L, 0);
    CloseAll(L);
    PushRegistered(L, &KEY_CALLBACKS);
    lua_pushnil(L);
    while (lua_istable(L, 1) && lua_next(L, 1))
    {
        Release((Callback*)lua_touserdata(L, 2));
        lua_settop(L, 2);
    }
}
