/* WebSockets for Lua, for hosts in C and C++ that link it: libwebsocket.a or libwebsocket.so,
 * built for the Lua version that the host has. All else is in Lua: README.md. */
#ifndef WEBSOCKET_H
#define WEBSOCKET_H

#ifdef __cplusplus
extern "C" {
#endif

struct lua_State;

/* Pushes the module table and returns 1: a lua_CFunction, for package.preload["websocket"] or
 * luaL_requiref(L, "websocket", luaopen_websocket, 0). Raises a Lua error if it cannot.
 *
 * The host calls the table's `update` once a frame, on the thread that runs this state; the
 * callbacks of scripts run in there. lua_close closes all connections of the state. */
int luaopen_websocket(struct lua_State *L);

#ifdef __cplusplus
}
#endif

#endif
