#include "host.h"

#include <stdio.h>
#include <stdlib.h>

extern "C" {
#include <lualib.h>
}

namespace
{
dmExtension::Description* g_Extensions = 0;
dmExtension::AppParams g_AppParams;
char KEY_INSTANCES; // in the registry: every instance by its number, false once it is deleted

void Fail(const char* what)
{
    fprintf(stderr, "host: %s\n", what);
    abort();
}
} // namespace

void dmExtension::Register(Description* description)
{
    description->m_Next = g_Extensions;
    g_Extensions = description;
}

namespace
{
// The engine knows its own resources, and asks nobody else: not package.preload, not a file.
int LoadResource(lua_State* L)
{
    lua_pushfstring(L, "\n\tno resource '%s'", luaL_checkstring(L, 1));
    return 1;
}

void ReplaceLoaders(lua_State* L)
{
    lua_getglobal(L, "package");
    lua_createtable(L, 1, 0);
    lua_pushcfunction(L, LoadResource);
    lua_rawseti(L, -2, 1);
    lua_setfield(L, -2, "loaders");
    lua_pop(L, 1);
}

host::Context* ContextOf(lua_State* L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, "host.context");
    host::Context* context = (host::Context*)lua_touserdata(L, -1);
    lua_pop(L, 1);
    return context;
}

// delete_instance(self)
int ScriptDelete(lua_State* L)
{
    lua_getfield(L, 1, "__number");
    host::DeleteInstance(ContextOf(L), (int)lua_tointeger(L, -1));
    return 0;
}

// current_instance(): the instance whose function runs, or nil
int ScriptInstance(lua_State* L)
{
    host::PushInstance(L);
    return 1;
}

// report(text): a line on standard output
int ScriptReport(lua_State* L)
{
    printf("%s\n", luaL_checkstring(L, 1));
    fflush(stdout);
    return 0;
}

void PushInstances(lua_State* L)
{
    lua_pushlightuserdata(L, (void*)&KEY_INSTANCES);
    lua_rawget(L, LUA_REGISTRYINDEX);
}

// Calls the script's function of that name with the instance (below the stack's top: nothing).
void CallScript(lua_State* L, int instance, const char* name)
{
    PushInstances(L);
    lua_rawgeti(L, -1, instance);
    lua_remove(L, -2);
    if (!lua_istable(L, -1))
    {
        lua_pop(L, 1);
        return;
    }
    lua_getfield(L, -1, "__script");
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
    if (lua_isfunction(L, -1))
    {
        host::PushInstance(L);
        lua_insert(L, -3); // the one before, instance, function
        lua_pushvalue(L, -2);
        host::SetInstance(L);
        lua_pushvalue(L, -2);
        dmScript::PCall(L, 1, 0);
        lua_insert(L, -2); // instance, the one before
        host::SetInstance(L);
        lua_pop(L, 1);
    }
    else
    {
        lua_pop(L, 2);
    }
}
} // namespace

void host::Start()
{
    g_AppParams.m_ConfigFile = Config();
    if (!g_Extensions)
    {
        Websocket();
    }
    if (g_Extensions->m_AppInitialize(&g_AppParams) != dmExtension::RESULT_OK)
    {
        Fail("AppInitialize failed");
    }
}

void host::Stop()
{
    if (g_Extensions->m_AppFinalize(&g_AppParams) != dmExtension::RESULT_OK)
    {
        Fail("AppFinalize failed");
    }
}

host::Context* host::NewContext()
{
    Context* context = new Context();
    lua_State* L = luaL_newstate();
    context->m_L = L;
    luaL_openlibs(L);
    ReplaceLoaders(L);
    if (getenv("HOST_INTERPRETS") && luaL_dostring(L, "if jit then jit.off() end") != 0)
    {
        Fail("jit.off failed");
    }
    lua_pushthread(L);
    lua_setfield(L, LUA_REGISTRYINDEX, "host.main");
    lua_pushlightuserdata(L, context);
    lua_setfield(L, LUA_REGISTRYINDEX, "host.context");
    lua_pushlightuserdata(L, (void*)&KEY_INSTANCES);
    lua_newtable(L);
    lua_rawset(L, LUA_REGISTRYINDEX);
    lua_register(L, "delete_instance", ScriptDelete);
    lua_register(L, "current_instance", ScriptInstance);
    lua_register(L, "report", ScriptReport);
    context->m_Params.m_ConfigFile = Config();
    context->m_Params.m_L = L;
    Initialize(context);
    return context;
}

void host::Initialize(Context* context)
{
    if (g_Extensions->m_Initialize(&context->m_Params) != dmExtension::RESULT_OK)
    {
        Fail("Initialize failed");
    }
}

void host::Finalize(Context* context)
{
    if (g_Extensions->m_Finalize(&context->m_Params) != dmExtension::RESULT_OK)
    {
        Fail("Finalize failed");
    }
}

void host::DeleteContext(Context* context)
{
    Finalize(context);
    lua_close(context->m_L);
    delete context;
}

void host::Frame(Context* context)
{
    lua_State* L = context->m_L;
    int top = lua_gettop(L);
    PushInstances(L);
    int count = (int)lua_objlen(L, -1);
    lua_pop(L, 1);
    for (int i = 1; i <= count; i++)
    {
        CallScript(L, i, "update");
    }
    g_Extensions->m_Update(&context->m_Params);
    PushInstance(L);
    if (!lua_isnil(L, -1) || lua_gettop(L) != top + 1)
    {
        Fail("the extension left the stack or the instance otherwise than it found them");
    }
    lua_pop(L, 1);
}

int host::NewInstance(Context* context, const char* path, const char* argument)
{
    lua_State* L = context->m_L;
    PushInstances(L);
    int number = (int)lua_objlen(L, -1) + 1;
    lua_newtable(L); // self
    lua_pushstring(L, argument);
    lua_setfield(L, -2, "argument");
    lua_pushinteger(L, number);
    lua_setfield(L, -2, "__number");
    lua_newtable(L); // the script's globals
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, LUA_GLOBALSINDEX);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    if (luaL_loadfile(L, path) != 0)
    {
        Fail(lua_tostring(L, -1));
    }
    lua_pushvalue(L, -2);
    lua_setfenv(L, -2);
    if (lua_pcall(L, 0, 0, 0) != 0)
    {
        Fail(lua_tostring(L, -1));
    }
    lua_setfield(L, -2, "__script");
    lua_rawseti(L, -2, number);
    lua_pop(L, 1);
    CallScript(L, number, "init");
    return number;
}

void host::DeleteInstance(Context* context, int instance)
{
    lua_State* L = context->m_L;
    CallScript(L, instance, "final");
    PushInstances(L);
    lua_rawgeti(L, -1, instance);
    if (lua_istable(L, -1))
    {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, "__deleted");
        lua_pushboolean(L, 0);
        lua_rawseti(L, -3, instance);
    }
    lua_pop(L, 2);
}

std::string host::Field(Context* context, int instance, const char* name)
{
    lua_State* L = context->m_L;
    std::string text;
    PushInstances(L);
    lua_rawgeti(L, -1, instance);
    if (lua_istable(L, -1))
    {
        lua_getfield(L, -1, name);
        text = lua_tostring(L, -1) ? lua_tostring(L, -1) : "";
        lua_pop(L, 1);
    }
    lua_pop(L, 2);
    return text;
}
