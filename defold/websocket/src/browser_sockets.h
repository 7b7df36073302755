// The browser's WebSockets and what they have to tell, in the order in which it came. Knows no Lua.
#pragma once

#if defined(__EMSCRIPTEN__)

#include <deque>
#include <emscripten/websocket.h>
#include <map>
#include <stddef.h>
#include <string>

namespace websocket
{
enum
{
    EVENT_CONNECTED = 0,
    EVENT_DISCONNECTED = 1,
    EVENT_MESSAGE = 2,
    EVENT_ERROR = 3,
    EVENT_TIMER = 4,
    EVENT_ASKED = 5,
    EVENT_TRACED = 6,
    TYPE_TEXT = 1,
    TYPE_BINARY = 2,
    ERROR_REMOTE_HOST_CLOSED = 1,
    ERROR_SOCKET_ACCESS = 3,
    ERROR_SOCKET_TIMEOUT = 5,
    ERROR_NETWORK = 7,
    ERROR_UNSUPPORTED = 10,
};

struct Event
{
    int m_Id;
    int m_Kind;
    int m_Code;          // MESSAGE: TYPE_*; ERROR: ERROR_*; DISCONNECTED: the close code
    bool m_Clean;        // DISCONNECTED
    std::string m_Text;  // the payload, the error's text, the reason, the subprotocol
    std::string m_Other; // CONNECTED: the extensions; ERROR: the stage
};

struct Browser;

// connect -> WAITING (delay) -> CONNECTING -> OPEN -> CLOSING -> OVER; from each of them to OVER.
// A script that leaves is told the end at once: LEFT, from each of them.
enum Phase
{
    WAITING,
    CONNECTING,
    OPEN,
    CLOSING,
    OVER,
    LEFT,
};

struct Socket
{
    Browser* m_Browser;
    int m_Id;
    Phase m_Phase;
    EMSCRIPTEN_WEBSOCKET_T m_Handle; // 0 or less: none
    double m_Unsent;                 // bytes that the browser had not sent when m_Handle went
    double m_Due;                    // of emscripten_get_now: when WAITING or CONNECTING ends
    double m_Timeout;                // milliseconds
    std::string m_Url;
    std::string m_Protocols;
    double m_MessagesSent, m_MessagesReceived, m_BytesSent, m_BytesReceived;
    double m_ConnectedAt; // seconds since 1970; 0: never
};

// What one Lua state has of the browser.
struct Browser
{
    std::map<int, Socket*> m_Sockets; // until their DISCONNECTED is delivered
    std::map<int, double> m_Timers;   // when they are due, by emscripten_get_now
    std::deque<Event> m_Events;
    std::deque<Event> m_Ends; // of those that were left: they come before m_Events
    Event* m_Shown;           // the first of either, under way to its callback; or null
    size_t m_Left, m_EndsLeft; // events and ends that this update delivers
    int m_Seen;               // of this update: events that were shown
    double m_Deadline;        // of this update; 0: none
    void* m_Delivering; // the Lua thread whose `update` runs callbacks
    int m_LastId;
};

Browser* NewBrowser();
// Has the browser close what is open.
void DeleteBrowser(Browser* browser);

// Begins to connect after `delay`; both times in milliseconds. What comes of it are events.
Socket* NewSocket(Browser* browser, const char* url, const char* protocols, double timeout,
                  double delay);
// The event TIMER after `delay` milliseconds. Takes the next number, as a socket does.
void NewTimer(Browser* browser, double delay);
// What is not open ends at once, as the script asked. `code` is one that browsers take.
void Close(Socket* socket, int code, const char* reason);
// The next update tells the end, with this code and reason, and nothing else of the socket; the
// browser sends what it has queued, then Close with `sent`, a code that browsers take.
void Leave(Socket* socket, int code, int sent, const char* reason);
// Of an open socket; the browser queues it. Text must be UTF-8.
void Send(Socket* socket, bool is_text, const char* message, size_t size);
// Bytes that the browser has not sent.
double Buffered(Socket* socket);

// Does what is due by the clock, and begins an update for `budget` milliseconds; less than 0: no limit. False: there is nothing.
bool Begin(Browser* browser, double budget);
// The next event of this update, or null; it stays first until Pop. One is there whatever the
// budget.
const Event* Show(Browser* browser);
// Takes off the event that was shown, and forgets the socket whose last it was.
void Pop(Browser* browser);

// A URL's serialisation and the ASCII serialisation of its origin, by the WHATWG URL standard, and
// as the value its port; or -1, and what is wrong with it as `href`. Both have PARSED_SIZE bytes.
const int PARSED_SIZE = 4096;
int ParseUrl(const char* text, char* href, char* origin);

// RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF.
bool IsUtf8(const unsigned char* text, size_t size);
} // namespace websocket

#endif
