// What scripts give to `connect` and `listen`: their functions, called with their instances.
#pragma once

#include <dmsdk/sdk.h>

namespace websocket
{
// Prepares a script context. May raise.
void OpenCallbacks(lua_State* L);

// For a C function whose upvalue 1 is a function of the module: calls that with its arguments, of
// which the last is the script's callback, and returns what it returns. Its errors get the line of
// our caller. `is_servers`: the callback is called for many connections.
int CallWithCallback(lua_State* L, int arguments, bool is_servers);

// Says goodbye to every peer, and gives every callback back to the engine. May raise.
void CloseCallbacks(lua_State* L);
} // namespace websocket
