#include "host.h"

#include <map>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern "C" {
#include <lualib.h>
}

namespace
{
dmExtension::Description* g_Extensions = 0;
dmExtension::AppParams g_AppParams;
const char KEY_INSTANCE = 0; // in the registry: the instance that runs, or nil
const char KEY_INSTANCES = 0;

void Fail(const char* what)
{
    fprintf(stderr, "host: %s\n", what);
    abort();
}
} // namespace

struct ConfigFile
{
    std::map<std::string, std::string> m_Values;
};

namespace
{
ConfigFile g_Config;
}

namespace host
{
std::vector<std::string> g_Log;
int g_Callbacks = 0;
bool g_KeepsLoaders = false;
} // namespace host

void HostLog(const char* severity, const char* domain, const char* format, ...)
{
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    std::string line = std::string(severity) + ":" + domain + ": " + text;
    host::g_Log.push_back(line);
    if (getenv("HOST_VERBOSE"))
    {
        fprintf(stderr, "%s\n", line.c_str());
    }
}

const char* dmConfigFile::GetString(HConfig config, const char* key, const char* default_value)
{
    std::map<std::string, std::string>::const_iterator found = config->m_Values.find(key);
    return found == config->m_Values.end() ? default_value : found->second.c_str();
}

int32_t dmConfigFile::GetInt(HConfig config, const char* key, int32_t default_value)
{
    const char* text = GetString(config, key, 0);
    return text ? atoi(text) : default_value;
}

void dmExtension::Register(Description* description)
{
    description->m_Next = g_Extensions;
    g_Extensions = description;
}

// Callbacks. As in the engine, one keeps its function and its instance by references that the
// instance's own table holds: they are void when that is deleted.
struct dmScript::LuaCallbackInfo
{
    lua_State* m_L;
    int m_Instance; // references in the registry; the callback's own, for the stub is no engine
    int m_Function;
};

namespace
{
bool IsAlive(lua_State* L, int index)
{
    bool alive = false;
    if (lua_istable(L, index))
    {
        lua_getfield(L, index, "__deleted");
        alive = lua_isnil(L, -1);
        lua_pop(L, 1);
    }
    return alive;
}

void PushInstance(lua_State* L)
{
    lua_pushlightuserdata(L, (void*)&KEY_INSTANCE);
    lua_rawget(L, LUA_REGISTRYINDEX);
}

// Makes the value on the top the instance that runs.
void SetInstance(lua_State* L)
{
    lua_pushlightuserdata(L, (void*)&KEY_INSTANCE);
    lua_insert(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

lua_State* MainThread(lua_State* L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, "host.main");
    lua_State* main = lua_tothread(L, -1);
    lua_pop(L, 1);
    return main;
}

int Traceback(lua_State* L)
{
    lua_getglobal(L, "debug");
    lua_getfield(L, -1, "traceback");
    lua_pushvalue(L, 1);
    lua_pushinteger(L, 2);
    lua_call(L, 2, 1);
    return 1;
}
} // namespace

dmScript::LuaCallbackInfo* dmScript::CreateCallback(lua_State* L, int index)
{
    luaL_checktype(L, index, LUA_TFUNCTION);
    PushInstance(L);
    if (!IsAlive(L, -1))
    {
        lua_pop(L, 1);
        HostLog("ERROR", "SCRIPT", "there is no instance to make a callback for");
        return 0;
    }
    LuaCallbackInfo* callback = new LuaCallbackInfo();
    callback->m_L = MainThread(L);
    callback->m_Instance = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, index);
    callback->m_Function = luaL_ref(L, LUA_REGISTRYINDEX);
    host::g_Callbacks++;
    return callback;
}

bool dmScript::IsCallbackValid(LuaCallbackInfo* callback)
{
    if (!callback)
    {
        return false;
    }
    lua_rawgeti(callback->m_L, LUA_REGISTRYINDEX, callback->m_Instance);
    bool alive = IsAlive(callback->m_L, -1);
    lua_pop(callback->m_L, 1);
    return alive;
}

void dmScript::DestroyCallback(LuaCallbackInfo* callback)
{
    luaL_unref(callback->m_L, LUA_REGISTRYINDEX, callback->m_Instance);
    luaL_unref(callback->m_L, LUA_REGISTRYINDEX, callback->m_Function);
    host::g_Callbacks--;
    delete callback;
}

lua_State* dmScript::GetCallbackLuaContext(LuaCallbackInfo* callback)
{
    return callback->m_L;
}

// Leaves the instance that ran before, the function and its instance.
bool dmScript::SetupCallback(LuaCallbackInfo* callback)
{
    lua_State* L = callback->m_L;
    if (!IsCallbackValid(callback))
    {
        return false;
    }
    PushInstance(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, callback->m_Function);
    lua_rawgeti(L, LUA_REGISTRYINDEX, callback->m_Instance);
    lua_pushvalue(L, -1);
    SetInstance(L);
    return true;
}

void dmScript::TeardownCallback(LuaCallbackInfo* callback)
{
    SetInstance(callback->m_L);
}

int dmScript::PCall(lua_State* L, int arguments, int results)
{
    int handler = lua_gettop(L) - arguments;
    lua_pushcfunction(L, Traceback);
    lua_insert(L, handler);
    int status = lua_pcall(L, arguments, results, handler);
    lua_remove(L, handler);
    if (status != 0)
    {
        const char* text = lua_tostring(L, -1);
        HostLog("ERROR", "SCRIPT", "%s", text ? text : "?");
        lua_pop(L, 1);
    }
    return status;
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
        PushInstance(L);
        lua_insert(L, -3); // the one before, instance, function
        lua_pushvalue(L, -2);
        SetInstance(L);
        lua_pushvalue(L, -2);
        dmScript::PCall(L, 1, 0);
        lua_insert(L, -2); // instance, the one before
        SetInstance(L);
        lua_pop(L, 1);
    }
    else
    {
        lua_pop(L, 2);
    }
}
} // namespace

void host::SetConfig(const char* key, const char* value)
{
    g_Config.m_Values[key] = value;
}

void host::Start()
{
    g_AppParams.m_ConfigFile = &g_Config;
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
    if (!g_KeepsLoaders)
    {
        ReplaceLoaders(L);
    }
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
    lua_register(L, "report", ScriptReport);
    context->m_Params.m_ConfigFile = &g_Config;
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
