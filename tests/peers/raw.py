"""TCP peers that are no WebSocket servers, or bad ones. Prints "PID PORT" and waits.

silent      accepts, reads, never answers
blackhole   has a full listen backlog: connecting to it hangs
hangup      accepts and closes at once
garbage     answers with something that is not HTTP
deaf        completes the handshake, then reads and answers nothing, not even Close
full        completes the handshake, and reads nothing from then on
kick        sends Close 4001 "kicked" when anything has come, and breaks the connection
unwelcoming  answers 401 to the first byte of a request, and breaks the connection
no-accept   answers 101 with a wrong Sec-WebSocket-Accept
wrong-subprotocol  picks a subprotocol that was not offered
late        sends three messages when the Close has come, and only then its own Close
keep-alive  answers with "Connection: keep-alive, Upgrade", and echoes nothing
"""

import socket
import sys
import threading

from tcp import announce, drain, listen, read_head, serve_forever, switching


def switch(stream, *fields, **options):
    head = read_head(stream)
    if head is not None:
        stream.sendall(switching(head, *fields, **options))


def answer_late(stream):
    """Expects one masked Close with a code and no reason: 2 + 4 + 2 bytes."""
    close = b""
    while len(close) < 8:
        more = stream.recv(8 - len(close))
        if not more:
            return
        close += more
    mask, code = close[2:6], close[6:8]
    code = bytes(byte ^ mask[index] for index, byte in enumerate(code))
    stream.sendall(b"\x81\x011" + b"\x81\x012" + b"\x81\x013" + b"\x88\x02" + code)


def serve(mode, stream):
    if mode == "garbage":
        stream.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    elif mode == "deaf":
        switch(stream)
    elif mode == "full":
        switch(stream)
        threading.Event().wait()
    elif mode == "kick":
        switch(stream)
        stream.recv(1)
        # With bytes left unread this is a reset.
        stream.sendall(b"\x88\x08\x0f\xa1kicked")
        stream.close()
        return
    elif mode == "unwelcoming":
        stream.recv(1)
        # With bytes left unread this is a reset.
        stream.sendall(b"HTTP/1.1 401 No\r\nContent-Length: 8\r\n\r\nno entry")
        stream.close()
        return
    elif mode == "no-accept":
        switch(stream, accept=b"AAAAAAAAAAAAAAAAAAAAAAAAAAA=")
    elif mode == "wrong-subprotocol":
        switch(stream, b"Sec-WebSocket-Protocol: other")
    elif mode == "late":
        switch(stream)
        answer_late(stream)
    elif mode == "keep-alive":
        switch(stream, connection=b"keep-alive, Upgrade")
    if mode != "hangup":
        drain(stream)


def fill_backlog(address):
    """Connects until a connection no longer completes; keeps all of them."""
    filling = []
    while True:
        filler = socket.socket()
        filler.settimeout(0.5)
        filling.append(filler)
        try:
            filler.connect(address)
        except TimeoutError:
            return filling


def main(mode):
    listener = listen(0 if mode == "blackhole" else 128)
    filling = fill_backlog(listener.getsockname()) if mode == "blackhole" else []
    announce(listener)
    if filling:
        threading.Event().wait()
    serve_forever(listener, lambda stream: serve(mode, stream))


main(sys.argv[1])
