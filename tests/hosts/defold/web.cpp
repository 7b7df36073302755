// The stub host in a browser: runs the script that is its first argument with the second, until it
// says that it is finished, or has no connection left.
#include "host.h"

#include <emscripten/emscripten.h>
#include <stdio.h>

namespace
{
host::Context* g_Context = 0;
int g_Instance = 0;

void EachFrame()
{
    host::Frame(g_Context);
    if (host::Field(g_Context, g_Instance, "finished") == "yes" || host::g_Callbacks == 0)
    {
        emscripten_cancel_main_loop();
        host::DeleteContext(g_Context);
        host::Stop();
        for (size_t i = 0; i < host::g_Log.size(); i++)
        {
            printf("log: %s\n", host::g_Log[i].c_str());
        }
        printf("over, %d callbacks left\n", host::g_Callbacks);
    }
}
} // namespace

int main(int count, char** arguments)
{
    if (count < 3)
    {
        printf("SCRIPT ARGUMENT\n");
        return 2;
    }
    host::Start();
    g_Context = host::NewContext();
    g_Instance = host::NewInstance(g_Context, arguments[1], arguments[2]);
    emscripten_set_main_loop(EachFrame, 0, 0);
    return 0;
}
