// Drives the extension as the engine does: main SCENARIO ARGUMENTS... Ends with 0 and says
// nothing if all is as it should be; what a scenario reports goes to standard output.
#include "host.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

using namespace host;

namespace
{
const char* const LIFE = "tests/hosts/defold/scripts/life.lua";
const double DEADLINE_SECONDS = 60;

double Now()
{
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void Expect(bool holds, const char* what)
{
    if (!holds)
    {
        fprintf(stderr, "expected: %s\n", what);
        for (size_t i = 0; i < g_Log.size(); i++)
        {
            fprintf(stderr, "log: %s\n", g_Log[i].c_str());
        }
        exit(1);
    }
}

// An engine has a frame each 16 ms; this one each millisecond.
void Pause()
{
    timespec millisecond = {0, 1000000};
    nanosleep(&millisecond, 0);
}

struct Condition
{
    virtual ~Condition() {}
    virtual bool Holds() = 0;
};

struct FieldIs : Condition
{
    Context* m_Context;
    int m_Instance;
    const char* m_Name;
    const char* m_Value;
    FieldIs(Context* context, int instance, const char* name, const char* value)
    : m_Context(context), m_Instance(instance), m_Name(name), m_Value(value)
    {
    }
    bool Holds() { return Field(m_Context, m_Instance, m_Name) == m_Value; }
};

struct FieldReaches : FieldIs
{
    FieldReaches(Context* context, int instance, const char* name, const char* value)
    : FieldIs(context, instance, name, value)
    {
    }
    bool Holds() { return atoi(Field(m_Context, m_Instance, m_Name).c_str()) >= atoi(m_Value); }
};

struct NoCallbacks : Condition
{
    bool Holds() { return g_Callbacks == 0; }
};

struct Logged : Condition
{
    const char* m_Text;
    Logged(const char* text) : m_Text(text) {}
    bool Holds()
    {
        for (size_t i = 0; i < g_Log.size(); i++)
        {
            if (g_Log[i].find(m_Text) != std::string::npos)
            {
                return true;
            }
        }
        return false;
    }
};

void Until(Condition&& condition, const char* what, Context* first, Context* second = 0)
{
    double deadline = Now() + DEADLINE_SECONDS;
    while (!condition.Holds())
    {
        Expect(Now() < deadline, what);
        Frame(first);
        if (second)
        {
            Frame(second);
        }
        Pause();
    }
}

int Calls(Context* context)
{
    lua_getglobal(context->m_L, "calls");
    int calls = (int)lua_tointeger(context->m_L, -1);
    lua_pop(context->m_L, 1);
    return calls;
}

int Count(const char* folder)
{
    int count = 0;
    DIR* directory = opendir(folder);
    while (directory && readdir(directory))
    {
        count++;
    }
    if (directory)
    {
        closedir(directory);
    }
    return count;
}

std::string Argument(const char* url, const char* mode)
{
    return std::string(url) + " " + mode;
}

// The script reports; the caller compares.
void Events(const char* script, const char* argument)
{
    Context* context = NewContext();
    int instance = NewInstance(context, script, argument);
    Until(FieldIs(context, instance, "finished", "yes"), "the script finishes", context);
    DeleteContext(context);
    Expect(g_Log.empty(), "nothing in the log");
}

// A script with one connection that comes to its end; what it prints is compared by the caller.
void Connection(const char* script, const char*)
{
    Context* context = NewContext();
    int instance = NewInstance(context, script, "");
    Expect(g_Callbacks == 1, "a connection");
    Until(NoCallbacks(), "its end", context);
    DeleteInstance(context, instance);
    DeleteContext(context);
    Expect(g_Log.empty(), "nothing in the log");
}

void DeletedWhileConnecting(const char* url, const char*)
{
    Context* context = NewContext();
    int instance = NewInstance(context, LIFE, Argument(url, "leave").c_str());
    DeleteInstance(context, instance);
    Expect(g_Callbacks == 1, "a callback");
    Until(NoCallbacks(), "the callback is given back when CONNECTED comes", context);
    Expect(Calls(context) == 0, "no call");
    DeleteContext(context); // the server sees 1001
}

void DeletedInCallback(const char* url, const char*)
{
    Context* context = NewContext();
    NewInstance(context, LIFE, Argument(url, "delete").c_str());
    Until(NoCallbacks(), "the callback is given back", context);
    Expect(Calls(context) == 1, "one call, with CONNECTED");
    DeleteContext(context); // the server sees 4001
}

void DeletedInFinal(const char* url, const char*)
{
    Context* context = NewContext();
    int instance = NewInstance(context, LIFE, Argument(url, "plain").c_str());
    Until(FieldIs(context, instance, "state", "open"), "an open connection", context);
    DeleteInstance(context, instance);
    Until(NoCallbacks(), "the callback is given back", context);
    Expect(Calls(context) == 1, "one call, with CONNECTED");
    DeleteContext(context); // the server sees 4001
}

// A ReconnectingWebSocket of a deleted instance: its timer rings, and nobody hears it.
void DeletedWhileWaiting(const char*, const char*)
{
    Context* context = NewContext();
    int instance = NewInstance(context, LIFE, Argument("50", "retry").c_str());
    Until(FieldIs(context, instance, "state", "waiting"), "a retry to wait for", context);
    Expect(g_Callbacks == 1, "the timer's callback");
    DeleteInstance(context, instance);
    Until(NoCallbacks(), "the callback is given back when the timer rings", context);
    Expect(Calls(context) == 1, "no call");
    DeleteContext(context);
    Expect(g_Log.empty(), "nothing in the log");
}

const void* Module(Context* context)
{
    lua_getglobal(context->m_L, "websocket");
    const void* module = lua_topointer(context->m_L, -1);
    lua_pop(context->m_L, 1);
    return module;
}

void Contexts(const char* url, const char*)
{
    Context* first = NewContext();
    Context* second = NewContext();
    Expect(Module(first) && Module(first) != Module(second), "a module for each context");
    std::string argument = Argument(url, "echo");
    int one = NewInstance(first, LIFE, argument.c_str());
    int two = NewInstance(second, LIFE, argument.c_str());
    Until(FieldReaches(first, one, "last", "3"), "three echoes", first, second);
    Until(FieldReaches(second, two, "last", "3"), "three echoes", second);
    int calls = Calls(first);
    for (int i = 0; i < 20; i++)
    {
        Frame(second);
    }
    Expect(Calls(first) == calls, "no callback of one context in the other's frame");
    DeleteContext(first);
    int last = atoi(Field(second, two, "last").c_str());
    char text[16];
    snprintf(text, sizeof(text), "%d", last + 5);
    Until(FieldReaches(second, two, "last", text), "the other context goes on", second);
    DeleteContext(second);
}

void Raises(const char* url, const char*)
{
    Context* context = NewContext();
    int instance = NewInstance(context, LIFE, Argument(url, "raise").c_str());
    Until(FieldIs(context, instance, "state", "closed 4002"), "events after the error", context);
    Expect(g_Log.size() == 1, "one line in the log");
    Expect(g_Log[0].find("ERROR:SCRIPT: ") == 0, "an error of the script");
    Expect(g_Log[0].find("life.lua:") != std::string::npos, "its place");
    Expect(g_Log[0].find("on purpose\nstack traceback:") != std::string::npos, "its stack");
    DeleteContext(context);
}

void FromCoroutine(const char* url, const char*)
{
    Context* context = NewContext();
    int instance = NewInstance(context, LIFE, Argument(url, "coroutine").c_str());
    Until(FieldIs(context, instance, "state", "closed 4002"), "events", context);
    DeleteContext(context);
    Expect(g_Log.empty(), "nothing in the log");
}

// Where no instance runs nothing begins, and the caller is told.
void NoInstance(const char* url, const char*)
{
    Context* context = NewContext();
    lua_State* L = context->m_L;
    lua_pushstring(L, url);
    lua_setglobal(L, "url");
    bool raises = luaL_dostring(L, "websocket.connect(url, nil, print)") != 0;
    Expect(raises && lua_tostring(L, -1), "an error");
    std::string text = lua_tostring(L, -1);
    Expect(text.find("]:1: a callback needs a script instance") != std::string::npos, "its line");
    lua_settop(L, 0);
    Expect(g_Callbacks == 0, "no callback");
    DeleteContext(context);
}

void OwnSelf(const char* url, const char*)
{
    Context* context = NewContext();
    int instance = NewInstance(context, LIFE, Argument(url, "own").c_str());
    Until(FieldIs(context, instance, "state", "own"), "params.self", context);
    DeleteContext(context);
}

void Budget(const char* url, const char*)
{
    SetConfig("websocket.update_budget", "1");
    Context* context = NewContext();
    int instance = NewInstance(context, LIFE, Argument(url, "slow").c_str());
    double deadline = Now() + DEADLINE_SECONDS;
    int before = 0;
    do
    {
        Expect(Now() < deadline, "five messages");
        Frame(context);
        Pause();
        int calls = Calls(context);
        // CONNECTED takes no time, a message 5 ms: after it the frame's budget is spent.
        Expect(calls - before <= (before == 0 ? 2 : 1), "a message a frame");
        before = calls;
    } while (before < 6);
    DeleteInstance(context, instance);
    DeleteContext(context);
}

void Certificates(const char* url, const char* path)
{
    Context* context = NewContext();
    int instance = NewInstance(context, LIFE, Argument(url, "leave").c_str());
    Until(FieldIs(context, instance, "state", "closed 1006"), "an unknown issuer", context);
    std::string problem = Field(context, instance, "problem");
    Expect(problem == "12 tls", ("the certificate is refused, not " + problem).c_str());
    DeleteContext(context);

    SetConfig("network.ssl_certificates", path);
    context = NewContext();
    instance = NewInstance(context, LIFE, Argument(url, "plain").c_str());
    Until(FieldIs(context, instance, "state", "open"), "a known issuer", context);
    instance = NewInstance(context, LIFE, Argument(url, "open").c_str());
    Until(FieldIs(context, instance, "state", "open"), "a known issuer for `open`", context);
    DeleteContext(context);
    Expect(g_Log.empty(), "nothing in the log");

    SetConfig("network.ssl_certificates", "/there/is/no/such.pem");
    context = NewContext();
    instance = NewInstance(context, LIFE, Argument(url, "leave").c_str());
    Until(FieldIs(context, instance, "state", "closed 1006"), "an unknown issuer", context);
    Expect(g_Log.size() == 1 && Logged("such.pem").Holds(), "a line that names the file");
    DeleteContext(context);
}

// A context that is finalized and initialized again, as a reload of the extension would.
void Again(const char* url, const char*)
{
    Context* context = NewContext();
    int instance = NewInstance(context, LIFE, Argument(url, "plain").c_str());
    Until(FieldIs(context, instance, "state", "open"), "an open connection", context);
    int calls = Calls(context);
    Finalize(context);
    Expect(g_Callbacks == 0, "no callback left");
    Initialize(context);
    instance = NewInstance(context, LIFE, Argument(url, "plain").c_str());
    Until(FieldIs(context, instance, "state", "open"), "an open connection", context);
    Expect(Calls(context) == calls + 1, "no event of the time before");
    DeleteContext(context);
}

// A browser-style object: its listener runs, and its error is logged with the stack.
void Object(const char* url, const char*)
{
    Context* context = NewContext();
    int instance = NewInstance(context, LIFE, Argument(url, "object").c_str());
    Until(FieldIs(context, instance, "last", "1"), "a message", context);
    Until(Logged("uncaught error in a listener: "), "a line in the log", context);
    Expect(g_Log[0].find("on purpose\nstack traceback:") != std::string::npos, "its stack");
    Expect(g_Log[0].find("in function 'fail'") != std::string::npos ||
               g_Log[0].find("in upvalue 'fail'") != std::string::npos ||
               g_Log[0].find("in function <") != std::string::npos,
           "the function that raised");
    DeleteContext(context);
}

// Engine restarts with live connections and a timer: every second time they are still connecting.
void Restarts(const char* url, const char* count)
{
    int threads = Count("/proc/self/task");
    int descriptors = 0;
    for (int i = 0; i < atoi(count); i++)
    {
        Start();
        Context* first = NewContext();
        Context* second = NewContext();
        std::string argument = Argument(url, "plain");
        int one = NewInstance(first, LIFE, argument.c_str());
        int two = NewInstance(second, LIFE, argument.c_str());
        int waiting = NewInstance(first, LIFE, Argument("3600000", "retry").c_str());
        if (i % 2 == 0)
        {
            Until(FieldIs(first, waiting, "state", "waiting"), "a timer", first, second);
            Until(FieldIs(first, one, "state", "open"), "an open connection", first, second);
            Until(FieldIs(second, two, "state", "open"), "an open connection", first, second);
        }
        DeleteContext(first);
        DeleteContext(second);
        Stop();
        Expect(g_Callbacks == 0, "no callback left");
        if (i == 1)
        {
            descriptors = Count("/proc/self/fd");
        }
    }
    double deadline = Now() + DEADLINE_SECONDS;
    while (Count("/proc/self/task") > threads || Count("/proc/self/fd") > descriptors)
    {
        Expect(Now() < deadline, "no thread and no descriptor left");
        Pause();
    }
    Expect(g_Log.empty(), "nothing in the log");
}

struct Scenario
{
    const char* m_Name;
    void (*m_Run)(const char* first, const char* second);
};

const Scenario SCENARIOS[] = {
    {"events", Events},
    {"connection", Connection},
    {"deleted-while-connecting", DeletedWhileConnecting},
    {"deleted-in-callback", DeletedInCallback},
    {"deleted-in-final", DeletedInFinal},
    {"deleted-while-waiting", DeletedWhileWaiting},
    {"contexts", Contexts},
    {"raises", Raises},
    {"from-coroutine", FromCoroutine},
    {"no-instance", NoInstance},
    {"own-self", OwnSelf},
    {"budget", Budget},
    {"certificates", Certificates},
    {"again", Again},
    {"object", Object},
    {"restarts", Restarts},
};
} // namespace

int main(int count, char** arguments)
{
    for (size_t i = 0; count >= 3 && i < sizeof(SCENARIOS) / sizeof(*SCENARIOS); i++)
    {
        if (strcmp(SCENARIOS[i].m_Name, arguments[1]) == 0)
        {
            Start();
            SCENARIOS[i].m_Run(arguments[2], count > 3 ? arguments[3] : "");
            Stop();
            Expect(g_Callbacks == 0, "no callback left");
            return 0;
        }
    }
    fprintf(stderr, "main SCENARIO ARGUMENTS...\n");
    return 2;
}
