// The calls of dmSDK that the extension makes: the configuration, the log, callbacks of scripts.
#include "host.h"

#include <map>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct ConfigFile
{
    std::map<std::string, std::string> m_Values;
};

namespace
{
ConfigFile g_Config;
char KEY_INSTANCE; // in the registry: the instance that runs, or nil
} // namespace

std::vector<std::string> host::g_Log;
int host::g_Callbacks = 0;

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

dmConfigFile::HConfig host::Config()
{
    return &g_Config;
}

void host::SetConfig(const char* key, const char* value)
{
    g_Config.m_Values[key] = value;
}

void host::PushInstance(lua_State* L)
{
    lua_pushlightuserdata(L, (void*)&KEY_INSTANCE);
    lua_rawget(L, LUA_REGISTRYINDEX);
}

void host::SetInstance(lua_State* L)
{
    lua_pushlightuserdata(L, (void*)&KEY_INSTANCE);
    lua_insert(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

// A callback is void when its instance is deleted, as in the engine.
struct dmScript::LuaCallbackInfo
{
    lua_State* m_L;
    int m_Instance; // references in the registry
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
    host::PushInstance(L);
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
    host::PushInstance(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, callback->m_Function);
    lua_rawgeti(L, LUA_REGISTRYINDEX, callback->m_Instance);
    lua_pushvalue(L, -1);
    host::SetInstance(L);
    return true;
}

void dmScript::TeardownCallback(LuaCallbackInfo* callback)
{
    host::SetInstance(callback->m_L);
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
