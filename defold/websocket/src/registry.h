// Values of ours in the registry of a script context, by the addresses of their keys.
#pragma once

#include <dmsdk/sdk.h>

namespace websocket
{
inline void PushRegistered(lua_State* L, const char* key)
{
    lua_pushlightuserdata(L, (void*)key);
    lua_rawget(L, LUA_REGISTRYINDEX);
}

// Sets the value on the stack's top, and pops it.
inline void Register(lua_State* L, const char* key)
{
    lua_pushlightuserdata(L, (void*)key);
    lua_insert(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
}
} // namespace websocket
