/* A Lua interpreter for Windows: runs a script with its arguments, as lua.exe does. What scripts
 * get besides Lua's own libraries is `require("windows")`: what the specs ask of the system, and
 * a connection to shell.py, which runs the commands that belong to Linux.
 *
 * AS_LIBRARY makes a DLL of it, for a program in which two of them share a process. */
#include <winsock2.h>
#include <windows.h>
#include <fcntl.h>
#include <io.h>
#include <psapi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tlhelp32.h>
#include <winternl.h>

#include "lauxlib.h"
#include "lua.h"
#include "lualib.h"

static int monotime(lua_State *L)
{
    LARGE_INTEGER now, frequency;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&frequency);
    lua_pushnumber(L, (lua_Number)now.QuadPart / (lua_Number)frequency.QuadPart);
    return 1;
}

static int sleep_seconds(lua_State *L)
{
    Sleep((DWORD)(luaL_checknumber(L, 1) * 1000));
    return 0;
}

static int threads(lua_State *L)
{
    HANDLE snapshot = CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0);
    THREADENTRY32 entry = { .dwSize = sizeof(entry) };
    int count = 0;
    for (BOOL more = Thread32First(snapshot, &entry); more; more = Thread32Next(snapshot, &entry))
        count += entry.th32OwnerProcessID == GetCurrentProcessId();
    CloseHandle(snapshot);
    lua_pushinteger(L, count);
    return 1;
}

/* handles(): how many of each type this process has, by the type's name. */
static int handles(lua_State *L)
{
    struct {
        UNICODE_STRING name;
        WCHAR text[512];
    } type;
    lua_newtable(L);
    /* New handles take the lowest free numbers: behind a long gap there are none. */
    int gap = 0;
    for (uintptr_t handle = 4; gap < 256; handle += 4, gap++) {
        DWORD flags;
        if (!GetHandleInformation((HANDLE)handle, &flags) ||
            NtQueryObject((HANDLE)handle, ObjectTypeInformation, &type, sizeof(type), NULL) != 0)
            continue;
        gap = 0;
        lua_pushlstring(L, "", 0);
        for (int index = 0; index < type.name.Length / 2; index++) {
            char letter = (char)type.name.Buffer[index];
            lua_pushlstring(L, &letter, 1);
            lua_concat(L, 2);
        }
        lua_pushvalue(L, -1);
        lua_gettable(L, -3);
        int count = (int)lua_tointeger(L, -1);
        lua_pop(L, 1);
        lua_pushinteger(L, count + 1);
        lua_settable(L, -3);
    }
    return 1;
}

static int cpu_ms(lua_State *L)
{
    FILETIME created, ended, kernel, user;
    GetProcessTimes(GetCurrentProcess(), &created, &ended, &kernel, &user);
    uint64_t both = ((uint64_t)kernel.dwHighDateTime << 32 | kernel.dwLowDateTime) +
                    ((uint64_t)user.dwHighDateTime << 32 | user.dwLowDateTime);
    lua_pushnumber(L, (lua_Number)both / 10000);
    return 1;
}

static int resident(lua_State *L)
{
    PROCESS_MEMORY_COUNTERS counters;
    GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof(counters));
    lua_pushnumber(L, (lua_Number)counters.WorkingSetSize);
    return 1;
}

/* "directory", "file" or nil. */
static int kind(lua_State *L)
{
    DWORD attributes = GetFileAttributesA(luaL_checkstring(L, 1));
    if (attributes == INVALID_FILE_ATTRIBUTES)
        return 0;
    lua_pushstring(L, attributes & FILE_ATTRIBUTE_DIRECTORY ? "directory" : "file");
    return 1;
}

/* connect(port): a socket to that port of this machine, as a number. */
static int tcp_connect(lua_State *L)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((u_short)luaL_checkinteger(L, 1));
    SOCKET connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connection == INVALID_SOCKET ||
        connect(connection, (struct sockaddr *)&address, sizeof(address)) != 0)
        return luaL_error(L, "cannot connect to port %d: error %d",
                          (int)luaL_checkinteger(L, 1), WSAGetLastError());
    lua_pushinteger(L, (lua_Integer)connection);
    return 1;
}

static int tcp_send(lua_State *L)
{
    size_t length;
    const char *bytes = luaL_checklstring(L, 2, &length);
    while (length > 0) {
        int sent = send((SOCKET)luaL_checkinteger(L, 1), bytes, (int)length, 0);
        if (sent <= 0)
            return luaL_error(L, "cannot send: error %d", WSAGetLastError());
        bytes += sent;
        length -= (size_t)sent;
    }
    return 0;
}

/* receive(socket): what has come, at least a byte; nil at the end. */
static int tcp_receive(lua_State *L)
{
    char bytes[16384];
    int received = recv((SOCKET)luaL_checkinteger(L, 1), bytes, sizeof(bytes), 0);
    if (received <= 0)
        return 0;
    lua_pushlstring(L, bytes, (size_t)received);
    return 1;
}

static int tcp_close(lua_State *L)
{
    closesocket((SOCKET)luaL_checkinteger(L, 1));
    return 0;
}

/* readable(socket, seconds): whether select(2) says so within that time. */
static int readable(lua_State *L)
{
    fd_set set;
    lua_Number seconds = luaL_checknumber(L, 2);
    struct timeval limit = { (long)seconds, (long)((seconds - (long)seconds) * 1e6) };
    FD_ZERO(&set);
    FD_SET((SOCKET)luaL_checkinteger(L, 1), &set);
    int count = select(0, &set, NULL, NULL, &limit);
    if (count < 0)
        return luaL_error(L, "cannot select: error %d", WSAGetLastError());
    lua_pushboolean(L, count == 1);
    return 1;
}

/* open(path): calls luaopen_websocket itself, as an engine does that brings the library along. */
static int open_directly(lua_State *L)
{
    HMODULE library = LoadLibraryA(luaL_checkstring(L, 1));
    void *address = library ? (void *)GetProcAddress(library, "luaopen_websocket") : NULL;
    lua_CFunction open = (lua_CFunction)address;
    if (!open)
        return luaL_error(L, "cannot load %s", lua_tostring(L, 1));
    /* Not as the last call of this function, which would leave it to its caller. */
    int count = open(L);
    lua_pushinteger(L, count);
    lua_insert(L, -1 - count);
    return count + 1;
}

/* load(path): maps a library, and leaves it alone. */
static int load(lua_State *L)
{
    if (!LoadLibraryA(luaL_checkstring(L, 1)))
        return luaL_error(L, "cannot load %s", lua_tostring(L, 1));
    return 0;
}

static int open_windows(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "monotime", monotime }, { "sleep", sleep_seconds }, { "threads", threads },
        { "handles", handles },   { "cpu_ms", cpu_ms },       { "resident", resident },
        { "kind", kind },         { "connect", tcp_connect }, { "send", tcp_send },
        { "receive", tcp_receive }, { "close", tcp_close },   { "readable", readable },
        { "open", open_directly }, { "load", load },          { NULL, NULL },
    };
    WSADATA data;
    WSAStartup(MAKEWORD(2, 2), &data);
    lua_newtable(L);
    for (const luaL_Reg *each = functions; each->name; each++) {
        lua_pushcfunction(L, each->func);
        lua_setfield(L, -2, each->name);
    }
    return 1;
}

static int traceback(lua_State *L)
{
    lua_getglobal(L, "debug");
    lua_getfield(L, -1, "traceback");
    lua_pushvalue(L, 1);
    lua_pushinteger(L, 2);
    lua_call(L, 2, 1);
    return 1;
}

/* Protected: `arg`, package.preload, and the script. */
static int script(lua_State *L)
{
    char **argv = lua_touserdata(L, 1);
    luaL_openlibs(L);
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    lua_pushcfunction(L, open_windows);
    lua_setfield(L, -2, "windows");
    lua_newtable(L);
    for (int index = 0; argv[index]; index++) {
        lua_pushstring(L, argv[index]);
        lua_rawseti(L, -2, index - 1);
    }
    lua_setglobal(L, "arg");
    lua_pushcfunction(L, traceback);
    if (luaL_loadfile(L, argv[1]) != 0)
        return lua_error(L);
    int count = 0;
    while (argv[2 + count])
        count++;
    luaL_checkstack(L, count, "too many arguments");
    for (int index = 0; index < count; index++)
        lua_pushstring(L, argv[2 + index]);
    if (lua_pcall(L, count, 0, -2 - count) != 0)
        return lua_error(L);
    return 0;
}

/* Runs argv[1] in a new state. 0: it ended without an error. */
#ifdef AS_LIBRARY
__declspec(dllexport)
#else
static
#endif
int run(char **argv)
{
    /* Linux reads what is printed. */
    _setmode(_fileno(stdout), _O_BINARY);
    setvbuf(stdout, NULL, _IONBF, 0);
    lua_State *L = luaL_newstate();
    lua_pushcfunction(L, script);
    lua_pushlightuserdata(L, argv);
    int status = lua_pcall(L, 1, 0, 0);
    if (status != 0) {
        const char *message = lua_tostring(L, -1);
        fprintf(stderr, "%s\n", message ? message : "(error object is no string)");
    }
    lua_close(L);
    return status != 0;
}

#ifndef AS_LIBRARY
int main(int argc, char **argv)
{
    return argc < 2 ? 2 : run(argv);
}
#endif
