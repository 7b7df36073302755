// The extension: the module table as the global `websocket` of every script context, and one update
// a frame.
//
// A Lua error leaves a function here by longjmp or by unwinding, so nothing with a destructor
// stands on the stack across a call into Lua.

#define LIB_NAME "Websocket"
#define MODULE_NAME "websocket"
#define DLIB_LOG_DOMAIN LIB_NAME

#include <dmsdk/sdk.h>

#include "callbacks.h"
#include "certificates.h"
#include "registry.h"

#include <stdlib.h>
#include <string.h>

// Engines since the spring of 2026 rename every symbol of Lua; lib/ has an archive for each kind.
#if defined(DM_LUA_PRIVATE_PREFIX) && !defined(__EMSCRIPTEN__)
#define luaopen_websocket dm_luaopen_websocket
#endif
extern "C" int luaopen_websocket(lua_State* L);

namespace
{
char KEY_UPDATE; // the module's `update`, whatever scripts put in its place

dmConfigFile::HConfig g_Config = 0;
double g_UpdateBudget = 0; // milliseconds; 0: no limit

// onbegin(callback, object, ending, params): keeps the callback with its instance, and gives a
// connection the project's certificates (upvalue 1: false if none, nil until they are looked for).
int OnBegin(lua_State* L)
{
    lua_settop(L, 4);
#if !defined(__EMSCRIPTEN__)
    bool is_connection = strcmp(luaL_checkstring(L, 3), "disconnect") == 0;
    if (is_connection && lua_isnil(L, lua_upvalueindex(1)))
    {
        if (!websocket::PushCertificates(L, g_Config))
        {
            lua_pushboolean(L, 0);
        }
        lua_replace(L, lua_upvalueindex(1));
    }
    if (is_connection && lua_isstring(L, lua_upvalueindex(1)))
    {
        websocket::SetCertificates(L, 4, lua_upvalueindex(1));
    }
#endif
    return websocket::Keep(L);
}

// What a listener raises, unless the script sets a function of its own.
int LogUncaught(lua_State* L)
{
    const char* text = lua_tostring(L, 2);
    dmLogError("uncaught error in a listener: %s", text ? text : "");
    return 0;
}

// Sets what the module asks its host for. Protected, for Lua may run out of memory.
int Open(lua_State* L)
{
    websocket::OpenCallbacks(L);
    lua_pushcfunction(L, luaopen_websocket);
    lua_pushliteral(L, MODULE_NAME);
    lua_call(L, 1, 1);
    int module = lua_gettop(L);
    // A context that is initialized again has the same module.
    websocket::PushRegistered(L, &KEY_UPDATE);
    if (lua_isnil(L, -1))
    {
        lua_getfield(L, module, "update");
        websocket::Register(L, &KEY_UPDATE);
        lua_pushnil(L);
        lua_pushcclosure(L, OnBegin, 1);
        lua_setfield(L, module, "onbegin");
        lua_pushcfunction(L, LogUncaught);
        lua_setfield(L, module, "onuncaughterror");
    }
    lua_pushvalue(L, module);
    lua_setglobal(L, MODULE_NAME);
    return 0;
}

int Update(lua_State* L)
{
    websocket::PushRegistered(L, &KEY_UPDATE);
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

int Close(lua_State* L)
{
    websocket::CloseCallbacks(L);
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
