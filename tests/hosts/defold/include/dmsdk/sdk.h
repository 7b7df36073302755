// The part of dmSDK that the extension uses, declared anew from its public reference
// (https://defold.com/ref). host.cpp defines it.
#pragma once

#include <stdint.h>

#if defined(HOST_RENAMES_LUA)
// As the engine's own lua_rename.h, which its lua.h includes: every symbol of Lua has a prefix.
#include "lua_rename.h"
#endif

extern "C" {
#include <lauxlib.h>
#include <lua.h>
}

struct ConfigFile;

namespace dmConfigFile
{
typedef ConfigFile* HConfig;
const char* GetString(HConfig config, const char* key, const char* default_value);
int32_t GetInt(HConfig config, const char* key, int32_t default_value);
} // namespace dmConfigFile

namespace dmExtension
{
enum Result
{
    RESULT_OK = 0,
    RESULT_INIT_ERROR = -1,
};

struct AppParams
{
    dmConfigFile::HConfig m_ConfigFile;
};

struct Params
{
    dmConfigFile::HConfig m_ConfigFile;
    lua_State* m_L;
};

struct Event;

typedef Result (*AppCallback)(AppParams* params);
typedef Result (*Callback)(Params* params);
typedef void (*EventCallback)(Params* params, const Event* event);

// What DM_DECLARE_EXTENSION leaves for the engine to find.
struct Description
{
    const char* m_Symbol;
    const char* m_Name;
    AppCallback m_AppInitialize;
    AppCallback m_AppFinalize;
    Callback m_Initialize;
    Callback m_Update;
    EventCallback m_OnEvent;
    Callback m_Finalize;
    Description* m_Next;
};

void Register(Description* description);
} // namespace dmExtension

#define DM_DECLARE_EXTENSION(symbol, name, app_init, app_final, init, update, on_event, final)     \
    static dmExtension::Description symbol##Description = {                                        \
        #symbol, name, app_init, app_final, init, update, on_event, final, 0};                     \
    extern "C" void symbol()                                                                       \
    {                                                                                              \
        dmExtension::Register(&symbol##Description);                                               \
    }

namespace dmScript
{
struct LuaCallbackInfo;
LuaCallbackInfo* CreateCallback(lua_State* L, int index);
bool IsCallbackValid(LuaCallbackInfo* callback);
void DestroyCallback(LuaCallbackInfo* callback);
lua_State* GetCallbackLuaContext(LuaCallbackInfo* callback);
bool SetupCallback(LuaCallbackInfo* callback);
void TeardownCallback(LuaCallbackInfo* callback);
int PCall(lua_State* L, int arguments, int results);
} // namespace dmScript

void HostLog(const char* severity, const char* domain, const char* format, ...)
    __attribute__((format(printf, 3, 4)));

#ifndef DLIB_LOG_DOMAIN
#define DLIB_LOG_DOMAIN "DEFAULT"
#endif
#define dmLogInfo(...) HostLog("INFO", DLIB_LOG_DOMAIN, __VA_ARGS__)
#define dmLogWarning(...) HostLog("WARNING", DLIB_LOG_DOMAIN, __VA_ARGS__)
#define dmLogError(...) HostLog("ERROR", DLIB_LOG_DOMAIN, __VA_ARGS__)
