#if defined(__EMSCRIPTEN__)

#include "browser_sockets.h"

#include <emscripten/emscripten.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

// Opens the browser's socket. What it throws must not pass through the frames of C and Lua:
// -1 is a URL or a list of subprotocols that it refuses, -2 that the page may not connect.
EM_JS(int, websocket_browser_open, (void* attributes, char* reason, int size), {
    try {
        return _emscripten_websocket_new(attributes);
    } catch (problem) {
        stringToUTF8(String(problem.message), reason, size);
        return problem.name === "SecurityError" ? -2 : -1;
    }
});

// emscripten's own function ends a text at its first zero. Its sockets have been in two places.
EM_JS(void, websocket_browser_send_text, (int socket, const char* text, int size), {
    const bytes = HEAPU8.slice(text, text + size);
    const own = WS.getSocket ? WS.getSocket(socket) : WS.sockets[socket];
    own.send(new TextDecoder("utf-8", { ignoreBOM : true }).decode(bytes));
});

EM_JS(int, websocket_browser_parse, (const char* text, char* href, char* origin, int size), {
    try {
        const url = new URL(UTF8ToString(text).replace(/^http/i, "ws"));
        if (url.protocol !== "ws:" && url.protocol !== "wss:") {
            throw new Error("the scheme must be ws or wss, not " + url.protocol.slice(0, -1));
        }
        if (url.href.includes("#")) {
            throw new Error("it has a fragment");
        }
        if (lengthBytesUTF8(url.href) >= size) {
            throw new Error("it is too long");
        }
        stringToUTF8(url.href, href, size);
        stringToUTF8(url.protocol + "//" + url.host, origin, size);
        return Number(url.port) || (url.protocol == "ws:" ? 80 : 443);
    } catch (problem) {
        stringToUTF8(String(problem.message), href, size);
        return -1;
    }
});

namespace
{
using namespace websocket;

typedef decltype(EmscriptenWebSocketMessageEvent::isText) Boolean; // int, later bool

void Push(std::deque<Event>& events, int id, int kind, int code, const std::string& text,
          const std::string& other, bool clean)
{
    Event event;
    event.m_Id = id;
    event.m_Kind = kind;
    event.m_Code = code;
    event.m_Clean = clean;
    event.m_Text = text;
    event.m_Other = other;
    events.push_back(event);
}

void Push(Socket* socket, int kind, int code, const std::string& text,
          const std::string& other = std::string(), bool clean = false)
{
    Push(socket->m_Browser->m_Events, socket->m_Id, kind, code, text, other, clean);
}

// The browser has no more to tell us of it.
void Forget(Socket* socket)
{
    socket->m_Unsent = Buffered(socket);
    if (socket->m_Handle > 0)
    {
        emscripten_websocket_delete(socket->m_Handle);
        socket->m_Handle = 0;
    }
}

// The last event of a socket.
void End(Socket* socket, int code, const std::string& reason, bool clean)
{
    socket->m_Phase = OVER;
    Forget(socket);
    Push(socket, EVENT_DISCONNECTED, code, reason, std::string(), clean);
}

void Fail(Socket* socket, int code, const char* stage, const std::string& text)
{
    Push(socket, EVENT_ERROR, code, text, stage);
    End(socket, 1006, "", false);
}

// Has the browser close it, without a word to us any more.
void Abandon(Socket* socket, int code = 1000, const char* reason = "")
{
    if (socket->m_Handle > 0)
    {
        emscripten_websocket_close(socket->m_Handle, (unsigned short)code, reason);
    }
    Forget(socket);
}

// Whether nobody is to hear of this event any more: the script has left its socket.
bool IsUnwanted(Browser* browser, const Event& event)
{
    std::map<int, Socket*>::iterator found = browser->m_Sockets.find(event.m_Id);
    bool is_over = found == browser->m_Sockets.end() || found->second->m_Phase == LEFT;
    return is_over && event.m_Kind != EVENT_TIMER;
}

typedef EMSCRIPTEN_RESULT (*GetText)(EMSCRIPTEN_WEBSOCKET_T, char*, int);
typedef EMSCRIPTEN_RESULT (*GetSize)(EMSCRIPTEN_WEBSOCKET_T, int*);

std::string Text(EMSCRIPTEN_WEBSOCKET_T handle, GetSize get_size, GetText get_text)
{
    int size = 0; // with the zero at the end
    if (get_size(handle, &size) != EMSCRIPTEN_RESULT_SUCCESS || size <= 1)
    {
        return std::string();
    }
    std::string text((size_t)size, '\0');
    get_text(handle, &text[0], size);
    text.resize((size_t)size - 1);
    return text;
}

// The number's type differs between versions of emscripten.
template <typename Number>
double Ask(EMSCRIPTEN_RESULT (*get)(EMSCRIPTEN_WEBSOCKET_T, Number*), EMSCRIPTEN_WEBSOCKET_T handle)
{
    Number amount = 0;
    get(handle, &amount);
    return (double)amount;
}

Boolean OnOpen(int, const EmscriptenWebSocketOpenEvent*, void* data)
{
    Socket* socket = (Socket*)data;
    socket->m_Phase = OPEN;
    socket->m_ConnectedAt = emscripten_date_now() / 1000;
    EMSCRIPTEN_WEBSOCKET_T handle = socket->m_Handle;
    Push(socket, EVENT_CONNECTED, 0,
         Text(handle, emscripten_websocket_get_protocol_length, emscripten_websocket_get_protocol),
         Text(handle, emscripten_websocket_get_extensions_length,
              emscripten_websocket_get_extensions));
    return true;
}

Boolean OnMessage(int, const EmscriptenWebSocketMessageEvent* event, void* data)
{
    Socket* socket = (Socket*)data;
    // A text comes with a zero behind it.
    size_t size = event->isText ? event->numBytes - 1 : event->numBytes;
    socket->m_MessagesReceived += 1;
    socket->m_BytesReceived += (double)size;
    Push(socket, EVENT_MESSAGE, event->isText ? TYPE_TEXT : TYPE_BINARY,
         std::string((const char*)event->data, size));
    return true;
}

// The browser tells no reason: its `error` says nothing, and what there is to know comes with the
// `close` that follows.
Boolean OnClose(int, const EmscriptenWebSocketCloseEvent* event, void* data)
{
    Socket* socket = (Socket*)data;
    if (socket->m_Phase == CONNECTING)
    {
        Fail(socket, ERROR_NETWORK, "connect", "the browser cannot connect; it does not say why");
        return true;
    }
    if (!event->wasClean && socket->m_Phase == OPEN)
    {
        Push(socket, EVENT_ERROR, ERROR_REMOTE_HOST_CLOSED,
             "the peer closed the connection without a Close frame", "open");
    }
    End(socket, event->code, event->reason, event->wasClean);
    return true;
}

// The URL with a WebSocket's scheme; empty if it has another one or none.
std::string WebSocketUrl(const std::string& url)
{
    static const char* const SCHEMES[][2] = {
        {"ws:", "ws:"}, {"wss:", "wss:"}, {"http:", "ws:"}, {"https:", "wss:"}};
    for (size_t i = 0; i < sizeof(SCHEMES) / sizeof(*SCHEMES); i++)
    {
        size_t size = strlen(SCHEMES[i][0]);
        if (strncasecmp(url.c_str(), SCHEMES[i][0], size) == 0)
        {
            return SCHEMES[i][1] + url.substr(size);
        }
    }
    return std::string();
}

// In Defold's words, which its scripts may look for.
void TimeOut(Socket* socket, const char* stage)
{
    char text[100];
    double limit = socket->m_Timeout > 0 ? socket->m_Timeout : 0;
    snprintf(text, sizeof(text), "Connect sequence timed out after %.0f ms in stage '%s'", limit,
             stage);
    Fail(socket, ERROR_SOCKET_TIMEOUT, stage, text);
}

void Open(Socket* socket, double now)
{
    if (socket->m_Timeout <= 0)
    {
        TimeOut(socket, "resolve");
        return;
    }
    // Links the function that websocket_browser_open calls by its name in JavaScript.
    static EMSCRIPTEN_WEBSOCKET_T (*const volatile linked)(EmscriptenWebSocketCreateAttributes*) =
        emscripten_websocket_new;
    (void)linked;
    std::string url = WebSocketUrl(socket->m_Url);
    if (url.empty())
    {
        std::string text = "no URL of a WebSocket: '" + socket->m_Url + "'";
        Fail(socket, ERROR_UNSUPPORTED, "resolve", text);
        return;
    }
    EmscriptenWebSocketCreateAttributes attributes;
    emscripten_websocket_init_create_attributes(&attributes);
    attributes.url = url.c_str();
    attributes.protocols = socket->m_Protocols.empty() ? 0 : socket->m_Protocols.c_str();
    attributes.createOnMainThread = true;
    char reason[256] = "";
    socket->m_Handle = websocket_browser_open(&attributes, reason, sizeof(reason));
    if (socket->m_Handle <= 0)
    {
        bool forbidden = socket->m_Handle == -2;
        Fail(socket, forbidden ? ERROR_SOCKET_ACCESS : ERROR_UNSUPPORTED,
             forbidden ? "connect" : "resolve", reason);
        return;
    }
    socket->m_Phase = CONNECTING;
    socket->m_Due = now + socket->m_Timeout;
    emscripten_websocket_set_onopen_callback(socket->m_Handle, socket, OnOpen);
    emscripten_websocket_set_onmessage_callback(socket->m_Handle, socket, OnMessage);
    emscripten_websocket_set_onclose_callback(socket->m_Handle, socket, OnClose);
}

// After its last event.
void DeleteSocket(Browser* browser, int id)
{
    std::map<int, Socket*>::iterator found = browser->m_Sockets.find(id);
    if (found != browser->m_Sockets.end())
    {
        delete found->second;
        browser->m_Sockets.erase(found);
    }
}

// Does what is due by the clock.
void Tick(Browser* browser)
{
    double now = emscripten_get_now();
    std::map<int, double>& timers = browser->m_Timers;
    for (std::map<int, double>::iterator at = timers.begin(); at != timers.end();)
    {
        std::map<int, double>::iterator timer = at++;
        if (now >= timer->second)
        {
            Push(browser->m_Events, timer->first, EVENT_TIMER, 0, "", "", false);
            timers.erase(timer);
        }
    }
    for (std::map<int, Socket*>::iterator at = browser->m_Sockets.begin();
         at != browser->m_Sockets.end(); ++at)
    {
        Socket* socket = at->second;
        if (socket->m_Phase == WAITING && now >= socket->m_Due)
        {
            Open(socket, now);
        }
        else if (socket->m_Phase == CONNECTING && now >= socket->m_Due)
        {
            Abandon(socket);
            TimeOut(socket, "connect");
        }
    }
}
} // namespace

websocket::Browser* websocket::NewBrowser()
{
    return new Browser();
}

void websocket::DeleteBrowser(Browser* browser)
{
    for (std::map<int, Socket*>::iterator at = browser->m_Sockets.begin();
         at != browser->m_Sockets.end(); ++at)
    {
        Abandon(at->second);
        delete at->second;
    }
    delete browser;
}

websocket::Socket* websocket::NewSocket(Browser* browser, const char* url, const char* protocols,
                                        double timeout, double delay)
{
    Socket* socket = new Socket();
    socket->m_Browser = browser;
    socket->m_Id = ++browser->m_LastId;
    socket->m_Phase = WAITING;
    socket->m_Due = emscripten_get_now() + delay;
    socket->m_Timeout = timeout;
    socket->m_Url = url;
    socket->m_Protocols = protocols;
    browser->m_Sockets[socket->m_Id] = socket;
    if (delay <= 0)
    {
        Open(socket, emscripten_get_now());
    }
    return socket;
}

void websocket::NewTimer(Browser* browser, double delay)
{
    browser->m_Timers[++browser->m_LastId] = emscripten_get_now() + delay;
}

void websocket::Close(Socket* socket, int code, const char* reason)
{
    if (socket->m_Phase == OPEN)
    {
        socket->m_Phase = CLOSING;
        emscripten_websocket_close(socket->m_Handle, (unsigned short)code, reason);
    }
    else if (socket->m_Phase < OPEN)
    {
        Abandon(socket);
        End(socket, code, reason, false);
    }
}

void websocket::Leave(Socket* socket, int code, int sent, const char* reason)
{
    if (socket->m_Phase != LEFT)
    {
        Abandon(socket, sent, reason);
        socket->m_Phase = LEFT;
        Push(socket->m_Browser->m_Ends, socket->m_Id, EVENT_DISCONNECTED, code, reason, "", true);
    }
}

void websocket::Send(Socket* socket, bool is_text, const char* message, size_t size)
{
    // The browser may have closed it already; the event of that is on its way.
    if (socket->m_Phase == OPEN && is_text)
    {
        websocket_browser_send_text(socket->m_Handle, message, (int)size);
    }
    else if (socket->m_Phase == OPEN)
    {
        emscripten_websocket_send_binary(socket->m_Handle, (void*)message, (uint32_t)size);
    }
    socket->m_MessagesSent += 1;
    socket->m_BytesSent += (double)size;
}

double websocket::Buffered(Socket* socket)
{
    return socket->m_Handle > 0 ? Ask(emscripten_websocket_get_buffered_amount, socket->m_Handle)
                                : socket->m_Unsent;
}

bool websocket::Begin(Browser* browser, double budget)
{
    Tick(browser);
    browser->m_Left = browser->m_Events.size();
    browser->m_EndsLeft = browser->m_Ends.size();
    browser->m_Seen = 0;
    browser->m_Deadline = budget >= 0 ? emscripten_get_now() + budget : 0;
    return browser->m_Left + browser->m_EndsLeft > 0;
}

const websocket::Event* websocket::Show(Browser* browser)
{
    std::deque<Event>& events = browser->m_Events;
    while (browser->m_Left > 0 && IsUnwanted(browser, events.front()))
    {
        events.pop_front();
        browser->m_Left--;
    }
    bool is_late = browser->m_Deadline > 0 && browser->m_Seen > 0 &&
                   emscripten_get_now() >= browser->m_Deadline;
    if (is_late)
    {
        return 0;
    }
    browser->m_Shown = browser->m_EndsLeft > 0 ? &browser->m_Ends.front()
                       : browser->m_Left > 0   ? &events.front()
                                               : 0;
    browser->m_Seen += browser->m_Shown ? 1 : 0;
    return browser->m_Shown;
}

void websocket::Pop(Browser* browser)
{
    bool is_end = browser->m_EndsLeft > 0;
    std::deque<Event>& events = is_end ? browser->m_Ends : browser->m_Events;
    int id = events.front().m_Id, kind = events.front().m_Kind;
    events.pop_front();
    browser->m_Shown = 0;
    (is_end ? browser->m_EndsLeft : browser->m_Left)--;
    if (kind == EVENT_DISCONNECTED)
    {
        DeleteSocket(browser, id);
    }
}

int websocket::ParseUrl(const char* text, char* href, char* origin)
{
    return websocket_browser_parse(text, href, origin, PARSED_SIZE);
}

bool websocket::IsUtf8(const unsigned char* text, size_t size)
{
    size_t at = 0;
    while (at < size)
    {
        unsigned char first = text[at++];
        if (first < 0x80)
        {
            continue;
        }
        int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
        if (first < 0xc2 || first > 0xf4 || size - at < (size_t)more)
        {
            return false;
        }
        unsigned char second = text[at];
        if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
            (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f))
        {
            return false;
        }
        for (; more > 0; more--)
        {
            if ((text[at++] & 0xc0) != 0x80)
            {
                return false;
            }
        }
    }
    return true;
}

#endif
