/* A host in C in the shape of a game engine: a 60 Hz loop, a Lua script that may
 * `require("websocket")`, and `websocket.update()` once a frame until the script's function
 * returns true. After `make install-c LUA=5.4 PREFIX=$HOME/.local`:
 *
 *   cc host.c $(pkg-config --cflags --libs websocket lua5.4)                     shared
 *   cc host.c $(pkg-config --cflags --static --libs websocket) -l:liblua5.4.a    Lua inside, too
 *
 * The second one needs the path of libwebsocket.a, or the linker takes the .so beside it. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <time.h>

#include "lauxlib.h"
#include "lua.h"
#include "lualib.h"
#include "websocket.h"

static const long FRAME_NANOSECONDS = 1000000000 / 60;

static int failed(lua_State *L)
{
    fprintf(stderr, "host: %s\n", lua_tostring(L, -1));
    return 1;
}

/* require("websocket") finds it here, in every version of Lua. */
static void preload(lua_State *L)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    lua_pushcfunction(L, luaopen_websocket);
    lua_setfield(L, -2, "websocket");
    lua_pop(L, 2);
}

/* Leaves websocket.update on the stack. */
static int push_update(lua_State *L)
{
    lua_getglobal(L, "require");
    lua_pushliteral(L, "websocket");
    if (lua_pcall(L, 1, 1, 0) != 0)
        return 1;
    lua_getfield(L, -1, "update");
    lua_remove(L, -2);
    return 0;
}

/* Calls update and then the script's function, which lie at 1 and 2, once a frame. */
static int run_loop(lua_State *L)
{
    const struct timespec frame = { 0, FRAME_NANOSECONDS };
    for (int done = 0; !done;) {
        lua_pushvalue(L, 1);
        if (lua_pcall(L, 0, 0, 0) != 0)
            return failed(L);
        lua_pushvalue(L, 2);
        if (lua_pcall(L, 0, 1, 0) != 0)
            return failed(L);
        done = lua_toboolean(L, -1);
        lua_pop(L, 1);
        nanosleep(&frame, NULL);
    }
    return 0;
}

int main(int count, char **arguments)
{
    if (count != 2) {
        fprintf(stderr, "usage: %s SCRIPT.lua, which returns a function\n", arguments[0]);
        return 2;
    }
    lua_State *L = luaL_newstate();
    if (L == NULL)
        return 1;
    luaL_openlibs(L);
    preload(L);
    int status = push_update(L) || luaL_loadfile(L, arguments[1]) != 0 ||
                 lua_pcall(L, 0, 1, 0) != 0;
    status = status ? failed(L) : run_loop(L);
    lua_close(L);
    return status;
}
