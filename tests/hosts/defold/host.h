// A stand-in for the engine: script contexts, instances of scripts, frames.
#pragma once

#include <dmsdk/sdk.h>

#include <string>
#include <vector>

extern "C" void Websocket(); // what DM_DECLARE_EXTENSION makes

namespace host
{
// A Lua state with the extension in it.
struct Context
{
    lua_State* m_L;
    dmExtension::Params m_Params;
};

dmConfigFile::HConfig Config();
void SetConfig(const char* key, const char* value);

// The instance whose function runs, or nil.
void PushInstance(lua_State* L);
// Makes it the value on the stack's top, which is popped.
void SetInstance(lua_State* L);

// The extension as a whole: AppInitialize and AppFinalize.
void Start();
void Stop();

Context* NewContext();
// As the engine at its end: finalizes the extension, then closes the state.
void DeleteContext(Context* context);
// Its halves.
void Initialize(Context* context);
void Finalize(Context* context);
// One frame: the instances' `update`, then the extension's.
void Frame(Context* context);

// An instance of a script, whose file is run with its globals apart; calls its `init`. A number
// that names it. `argument` becomes self.argument.
int NewInstance(Context* context, const char* path, const char* argument);
// Calls its `final`. From within a callback it works, too.
void DeleteInstance(Context* context, int instance);
// self.NAME of an instance, as text; "" if it is nil.
std::string Field(Context* context, int instance, const char* name);

// The lines that the engine's log got, and how many callbacks of the SDK exist.
extern std::vector<std::string> g_Log;
extern int g_Callbacks;
} // namespace host
