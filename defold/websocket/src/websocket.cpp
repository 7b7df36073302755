// The extension: the module table as the global `websocket` of every script context, callbacks
// with the script instance that asked for them, one update a frame.
//
// A Lua error leaves a function here by longjmp or by unwinding, so nothing with a destructor
// stands on the stack across a call into Lua.

#define LIB_NAME "Websocket"
#define MODULE_NAME "websocket"
#define DLIB_LOG_DOMAIN LIB_NAME

#include <dmsdk/sdk.h>

#include <stdio.h>
#include <stdlib.h>

// Engines since the spring of 2026 rename every symbol of Lua; lib/ has an archive for each kind.
#if defined(DM_LUA_PRIVATE_PREFIX) && !defined(__EMSCRIPTEN__)
#define luaopen_websocket dm_luaopen_websocket
#endif
extern "C" int luaopen_websocket(lua_State* L);

namespace
{
const int EVENT_DISCONNECTED = 1; // as in the module's table
const char* const CALLBACK_TYPE = "websocket.callback";

// Keys of the registry, by their addresses.
const char KEY_UPDATE = 0;    // the module's `update`, whatever scripts put in its place
const char KEY_ENDS = 0;      // weak: connections and servers, each with the name of what ends it
const char KEY_CALLBACKS = 0; // weak: every Callback

dmConfigFile::HConfig g_Config = 0;
double g_UpdateBudget = 0; // milliseconds; 0: no limit

// What a script gave to `connect` or `listen`: its function and its instance, as the engine keeps
// them. Null once it is over.
struct Callback
{
    dmScript::LuaCallbackInfo* m_Info;
    bool m_IsServers; // called for many connections
};

void PushRegistered(lua_State* L, const char* key)
{
    lua_pushlightuserdata(L, (void*)key);
    lua_rawget(L, LUA_REGISTRYINDEX);
}

// Sets the value on the stack's top.
void Register(lua_State* L, const char* key)
{
    lua_pushlightuserdata(L, (void*)key);
    lua_insert(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

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
    if (!lua_checkstack(target, 12) || !dmScript::SetupCallback(callback->m_Info))
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

// The callback that the module has: hands an event on while the instance is there.
int Deliver(lua_State* L)
{
    Callback* callback = (Callback*)lua_touserdata(L, lua_upvalueindex(1));
    lua_settop(L, 3);
    lua_getfield(L, 3, "event");
    bool is_last = lua_tointeger(L, -1) == EVENT_DISCONNECTED && !callback->m_IsServers;
    lua_settop(L, 3);
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

void PushCallback(lua_State* L, int function, bool is_servers)
{
    Callback* callback = (Callback*)lua_newuserdata(L, sizeof(Callback));
    callback->m_Info = 0;
    callback->m_IsServers = is_servers;
    luaL_getmetatable(L, CALLBACK_TYPE);
    lua_setmetatable(L, -2);
    callback->m_Info = dmScript::CreateCallback(L, function);
    if (!callback->m_Info)
    {
        luaL_error(L, "a callback needs a script instance: call this from within a script");
    }
    PushRegistered(L, &KEY_CALLBACKS);
    lua_pushvalue(L, -2);
    lua_pushboolean(L, 1);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

// Notes how Finalize ends what was returned.
void Remember(lua_State* L, int value, const char* method)
{
    PushRegistered(L, &KEY_ENDS);
    lua_pushvalue(L, value);
    lua_pushstring(L, method);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

// Calls upvalue 1, a function of the module, with the arguments, and puts our callback in the
// place of the script's. Its errors get the line of our caller: its own is this function.
int Call(lua_State* L, int arguments, bool is_servers)
{
    lua_settop(L, arguments);
    Callback* callback = 0;
    if (lua_isfunction(L, arguments))
    {
        PushCallback(L, arguments, is_servers);
        callback = (Callback*)lua_touserdata(L, -1);
        lua_pushcclosure(L, Deliver, 1);
        lua_replace(L, arguments);
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    bool failed = lua_pcall(L, arguments, LUA_MULTRET, 0) != 0;
    if (callback && (failed || lua_isnil(L, 1)))
    {
        Release(callback);
    }
    if (failed)
    {
        luaL_where(L, 1);
        lua_insert(L, -2);
        if (lua_isstring(L, -1))
        {
            lua_concat(L, 2);
        }
        return lua_error(L);
    }
    if (lua_istable(L, 1))
    {
        Remember(L, 1, is_servers ? "close" : "disconnect");
    }
    return lua_gettop(L);
}

int Listen(lua_State* L)
{
    return Call(L, 2, true);
}

#if defined(__EMSCRIPTEN__)
// The browser verifies certificates, and asks nobody how.
int Connect(lua_State* L)
{
    return Call(L, 3, false);
}
#else
// Pushes the content of a file, or nothing.
bool PushFile(lua_State* L, const char* path)
{
    FILE* file = fopen(path, "rb");
    if (!file)
    {
        return false;
    }
    long size = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    bool is_read = size > 0 && fseek(file, 0, SEEK_SET) == 0;
    if (is_read)
    {
        void* content = lua_newuserdata(L, (size_t)size);
        is_read = fread(content, 1, (size_t)size, file) == (size_t)size;
        if (is_read)
        {
            lua_pushlstring(L, (const char*)content, (size_t)size);
        }
        lua_remove(L, is_read ? -2 : -1);
    }
    fclose(file);
    return is_read;
}

// Pushes what sys.NAME(argument) returns if that is a string, or nothing.
bool PushFromSys(lua_State* L, const char* name, const char* argument)
{
    int top = lua_gettop(L);
    lua_getglobal(L, "sys");
    if (lua_istable(L, -1))
    {
        lua_getfield(L, -1, name);
        lua_pushstring(L, argument);
        if (lua_isfunction(L, -2) && lua_pcall(L, 1, 1, 0) == 0 && lua_type(L, -1) == LUA_TSTRING)
        {
            lua_replace(L, top + 1);
            lua_settop(L, top + 1);
            return true;
        }
    }
    lua_settop(L, top);
    return false;
}

// Pushes the PEM text of network.ssl_certificates: a custom resource; the file that a bundle has
// in its place; in a build from the editor the project's file. Or nothing, if it is not set.
bool PushCertificates(lua_State* L)
{
    const char* path = dmConfigFile::GetString(g_Config, "network.ssl_certificates", "");
    if (!path || !*path)
    {
        return false;
    }
    if (PushFromSys(L, "load_resource", path))
    {
        return true;
    }
    if (PushFromSys(L, "get_application_path", ""))
    {
        lua_pushliteral(L, "/ssl_keys.pem");
        lua_concat(L, 2);
        bool is_there = PushFile(L, lua_tostring(L, -1));
        lua_remove(L, is_there ? -2 : -1);
        if (is_there)
        {
            return true;
        }
    }
    if (PushFile(L, *path == '/' ? path + 1 : path))
    {
        return true;
    }
    dmLogError("network.ssl_certificates: '%s' cannot be read; the system's certificates are "
               "used. Name it in project.custom_resources.",
               path);
    return false;
}

// Replaces the table at `index`, or what is none, by a copy of its own.
void Copy(lua_State* L, int index)
{
    lua_newtable(L);
    if (lua_istable(L, index))
    {
        lua_pushnil(L);
        while (lua_next(L, index))
        {
            lua_pushvalue(L, -2);
            lua_insert(L, -2);
            lua_rawset(L, -4);
        }
        if (lua_getmetatable(L, index))
        {
            lua_setmetatable(L, -2);
        }
    }
    lua_replace(L, index);
}

// connect(url, params, callback), with the project's certificates (upvalue 2: false if none, nil
// until they are looked for) as params.tls.ca unless the script has its own.
int Connect(lua_State* L)
{
    lua_settop(L, 3);
    if (lua_isnil(L, lua_upvalueindex(2)))
    {
        if (!PushCertificates(L))
        {
            lua_pushboolean(L, 0);
        }
        lua_replace(L, lua_upvalueindex(2));
    }
    if (lua_isstring(L, lua_upvalueindex(2)))
    {
        Copy(L, 2);
        lua_getfield(L, 2, "tls");
        if (lua_isnil(L, 4) || lua_istable(L, 4))
        {
            Copy(L, 4);
            lua_getfield(L, 4, "ca");
            if (lua_isnil(L, -1))
            {
                lua_pushvalue(L, lua_upvalueindex(2));
                lua_setfield(L, 4, "ca");
            }
            lua_settop(L, 4);
            lua_setfield(L, 2, "tls");
        }
    }
    return Call(L, 3, false);
}
#endif

// What a listener raises, unless the script sets a function of its own.
int LogUncaught(lua_State* L)
{
    const char* text = lua_tostring(L, 2);
    dmLogError("uncaught error in a listener: %s", text ? text : "");
    return 0;
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

// Wraps the module's functions that take a callback. Protected, for Lua may run out of memory.
int Open(lua_State* L)
{
    luaL_newmetatable(L, CALLBACK_TYPE);
    lua_pushcfunction(L, CollectCallback);
    lua_setfield(L, -2, "__gc");

    PushWeak(L);
    Register(L, &KEY_ENDS);
    PushWeak(L);
    Register(L, &KEY_CALLBACKS);

    lua_pushcfunction(L, luaopen_websocket);
    lua_pushliteral(L, MODULE_NAME);
    lua_call(L, 1, 1);
    int module = lua_gettop(L);
    // A context that is initialized again has the same module: its functions are wrapped.
    PushRegistered(L, &KEY_UPDATE);
    if (lua_isnil(L, -1))
    {
        lua_getfield(L, module, "update");
        Register(L, &KEY_UPDATE);
        lua_getfield(L, module, "connect");
        lua_pushnil(L);
        lua_pushcclosure(L, Connect, 2);
        lua_setfield(L, module, "connect");
        lua_getfield(L, module, "listen");
        lua_pushcclosure(L, Listen, 1);
        lua_setfield(L, module, "listen");
        lua_pushcfunction(L, LogUncaught);
        lua_setfield(L, module, "onuncaughterror");
    }
    lua_pushvalue(L, module);
    lua_setglobal(L, MODULE_NAME);
    return 0;
}

int Update(lua_State* L)
{
    PushRegistered(L, &KEY_UPDATE);
    if (!lua_isfunction(L, -1))
    {
        return 0;
    }
    if (g_UpdateBudget > 0)
    {
        lua_pushnumber(L, g_UpdateBudget);
    }
    lua_call(L, g_UpdateBudget > 0 ? 1 : 0, 0);
    return 0;
}

// Says goodbye: every server and connection closes with 1001, "going away". The workers send
// it; the end of the Lua state waits for them.
void CloseAll(lua_State* L)
{
    PushRegistered(L, &KEY_ENDS);
    int ends = lua_gettop(L);
    lua_pushnil(L);
    while (lua_istable(L, ends) && lua_next(L, ends))
    {
        int connection = ends + 1; // or a server; above it the name of its method
        lua_getfield(L, connection, lua_tostring(L, -1));
        lua_pushvalue(L, connection);
        lua_pushinteger(L, 1001);
        if (lua_pcall(L, 2, 0, 0) != 0)
        {
            const char* text = lua_tostring(L, -1);
            dmLogError("%s", text ? text : "an error that is no text");
        }
        lua_settop(L, connection);
    }
    lua_settop(L, ends - 1);
}

// The engine's half of a callback must be given back while its script context is whole: when
// the state closes, finalizers run too late.
int Close(lua_State* L)
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
    return 0;
}

// Runs a function of ours in the context; what it raises is logged.
bool Protected(lua_State* L, lua_CFunction function)
{
    int top = lua_gettop(L);
    bool fine = lua_cpcall(L, function, 0) == 0;
    if (!fine)
    {
        const char* text = lua_tostring(L, -1);
        dmLogError("%s", text ? text : "an error that is no text");
    }
    lua_settop(L, top);
    return fine;
}

dmExtension::Result AppInitialize(dmExtension::AppParams*)
{
    return dmExtension::RESULT_OK;
}

dmExtension::Result AppFinalize(dmExtension::AppParams*)
{
    g_Config = 0;
    return dmExtension::RESULT_OK;
}

dmExtension::Result Initialize(dmExtension::Params* params)
{
    g_Config = params->m_ConfigFile;
    const char* budget = dmConfigFile::GetString(g_Config, "websocket.update_budget", "0");
    g_UpdateBudget = budget ? atof(budget) : 0;
    return Protected(params->m_L, Open) ? dmExtension::RESULT_OK : dmExtension::RESULT_INIT_ERROR;
}

// Once a frame for every script context.
dmExtension::Result OnUpdate(dmExtension::Params* params)
{
    Protected(params->m_L, Update);
    return dmExtension::RESULT_OK;
}

dmExtension::Result Finalize(dmExtension::Params* params)
{
    Protected(params->m_L, Close);
    return dmExtension::RESULT_OK;
}
} // namespace

DM_DECLARE_EXTENSION(Websocket, LIB_NAME, AppInitialize, AppFinalize, Initialize, OnUpdate, 0,
                     Finalize)
