#if defined(__EMSCRIPTEN__)

#include "browser_sockets.h"

#include <emscripten/emscripten.h>
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

void Push(Browser* browser, int id, int kind, int code, const std::string& text,
          const std::string& other, bool clean)
{
    Event event;
    event.m_Id = id;
    event.m_Kind = kind;
    event.m_Code = code;
    event.m_Clean = clean;
    event.m_Text = text;
    event.m_Other = other;
    browser->m_Events.push_back(event);
}

void Push(Socket* socket, int kind, int code, const std::string& text,
          const std::string& other = std::string(), bool clean = false)
{
    Push(socket->m_Browser, socket->m_Id, kind, code, text, other, clean);
}

// The last event of a socket.
void End(Socket* socket, int code, const std::string& reason, bool clean)
{
    socket->m_Phase = OVER;
    if (socket->m_Handle > 0)
    {
        emscripten_websocket_delete(socket->m_Handle);
        socket->m_Handle = 0;
    }
    Push(socket, EVENT_DISCONNECTED, code, reason, std::string(), clean);
}

void Fail(Socket* socket, int code, const char* stage, const std::string& text)
{
    Push(socket, EVENT_ERROR, code, text, stage);
    End(socket, 1006, "", false);
}

// Has the browser close it, without a word to us any more.
void Abandon(Socket* socket)
{
    EMSCRIPTEN_WEBSOCKET_T handle = socket->m_Handle;
    if (handle > 0)
    {
        emscripten_websocket_close(handle, 1000, "");
        emscripten_websocket_delete(handle);
        socket->m_Handle = 0;
    }
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

void Open(Socket* socket, double now)
{
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

void websocket::DeleteSocket(Browser* browser, int id)
{
    std::map<int, Socket*>::iterator found = browser->m_Sockets.find(id);
    if (found != browser->m_Sockets.end())
    {
        delete found->second;
        browser->m_Sockets.erase(found);
    }
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
        End(socket, code, reason, true);
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
                                : 0;
}

void websocket::Tick(Browser* browser)
{
    double now = emscripten_get_now();
    std::map<int, double>& timers = browser->m_Timers;
    for (std::map<int, double>::iterator at = timers.begin(); at != timers.end();)
    {
        std::map<int, double>::iterator timer = at++;
        if (now >= timer->second)
        {
            Push(browser, timer->first, EVENT_TIMER, 0, std::string(), std::string(), false);
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
            Fail(socket, ERROR_SOCKET_TIMEOUT, "connect", "Connect sequence timed out");
        }
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
