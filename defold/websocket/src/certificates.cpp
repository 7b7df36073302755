// A Lua error leaves a function here by longjmp or by unwinding, so nothing with a destructor
// stands on the stack across a call into Lua.

#if !defined(__EMSCRIPTEN__) // a browser verifies certificates, and asks nobody how

#define DLIB_LOG_DOMAIN "Websocket"

#include "certificates.h"

#include <stdio.h>

namespace
{
// Pushes the content of a file, or nothing.
bool PushFile(lua_State* L, const char* path)
{
    FILE* file = fopen(path, "rb");
    if (!file)
    {
        return false;
    }
    long size = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    bool is_read = size > 0 && fseek(file, 0, SEEK_SET) == 0;
    if (is_read)
    {
        void* content = lua_newuserdata(L, (size_t)size);
        is_read = fread(content, 1, (size_t)size, file) == (size_t)size;
        if (is_read)
        {
            lua_pushlstring(L, (const char*)content, (size_t)size);
        }
        lua_remove(L, is_read ? -2 : -1);
    }
    fclose(file);
    return is_read;
}

// Pushes what sys.NAME(argument) returns if that is a string, or nothing.
bool PushFromSys(lua_State* L, const char* name, const char* argument)
{
    int top = lua_gettop(L);
    lua_getglobal(L, "sys");
    if (lua_istable(L, -1))
    {
        lua_getfield(L, -1, name);
        lua_pushstring(L, argument);
        if (lua_isfunction(L, -2) && lua_pcall(L, 1, 1, 0) == 0 && lua_type(L, -1) == LUA_TSTRING)
        {
            lua_replace(L, top + 1);
            lua_settop(L, top + 1);
            return true;
        }
    }
    lua_settop(L, top);
    return false;
}
} // namespace

// They are a custom resource; or the file that a bundle has in its place; or in a build from the
// editor the project's file.
bool websocket::PushCertificates(lua_State* L, dmConfigFile::HConfig config)
{
    const char* path = dmConfigFile::GetString(config, "network.ssl_certificates", "");
    if (!path || !*path)
    {
        return false;
    }
    if (PushFromSys(L, "load_resource", path))
    {
        return true;
    }
    if (PushFromSys(L, "get_application_path", ""))
    {
        lua_pushliteral(L, "/ssl_keys.pem");
        lua_concat(L, 2);
        bool is_there = PushFile(L, lua_tostring(L, -1));
        lua_remove(L, is_there ? -2 : -1);
        if (is_there)
        {
            return true;
        }
    }
    if (PushFile(L, *path == '/' ? path + 1 : path))
    {
        return true;
    }
    dmLogError("network.ssl_certificates: '%s' cannot be read; the system's certificates are "
               "used. Name it in project.custom_resources.",
               path);
    return false;
}

void websocket::SetCertificates(lua_State* L, int params, int ca)
{
    lua_getfield(L, params, "tls");
    if (lua_isnil(L, -1))
    {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setfield(L, params, "tls");
    }
    if (lua_istable(L, -1)) // else the module says what is wrong
    {
        lua_getfield(L, -1, "ca");
        bool is_set = !lua_isnil(L, -1);
        lua_pop(L, 1);
        if (!is_set)
        {
            lua_pushvalue(L, ca);
            lua_setfield(L, -2, "ca");
        }
    }
    lua_pop(L, 1);
}

#endif
