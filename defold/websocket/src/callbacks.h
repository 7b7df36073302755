// The callbacks of connections, servers and timers, each called with its script's instance.
#pragma once

#include <dmsdk/sdk.h>

namespace websocket
{
// Prepares a script context. May raise.
void OpenCallbacks(lua_State* L);

// The module's `onbegin` as a C function: keeps the callback, of which the rest is called with the
// instance that runs now.
int Keep(lua_State* L);

// Says goodbye to every peer, and gives every callback back to the engine. May raise.
void CloseCallbacks(lua_State* L);
} // namespace websocket
