"""TCP peers that are no WebSocket servers, or bad ones. Prints "PID PORT" and waits.

silent      accepts, reads, never answers
blackhole   has a full listen backlog: connecting to it hangs
hangup      accepts and closes at once
garbage     answers with something that is not HTTP
deaf        completes the handshake, then reads and answers nothing, not even Close
no-accept   answers 101 with a wrong Sec-WebSocket-Accept
wrong-subprotocol  picks a subprotocol that was not offered
late        sends three messages when the Close has come, and only then its own Close
keep-alive  answers with "Connection: keep-alive, Upgrade", and echoes nothing
"""

import base64
import hashlib
import os
import select
import socket
import sys
import threading

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def read_head(stream):
    head = b""
    while b"\r\n\r\n" not in head:
        data = stream.recv(4096)
        if not data:
            return None
        head += data
    return head


def accept_of(head):
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"sec-websocket-key":
            return base64.b64encode(hashlib.sha1(value.strip() + GUID).digest())
    return b""


def switch(stream, accept=None, connection=b"Upgrade", extra=b""):
    head = read_head(stream)
    if head is None:
        return
    stream.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
        + connection
        + b"\r\nSec-WebSocket-Accept: "
        + (accept or accept_of(head))
        + b"\r\n"
        + extra
        + b"\r\n"
    )


def answer_late(stream):
    """Expects one masked Close with a code and no reason: 2 + 4 + 2 bytes."""
    close = b""
    while len(close) < 8:
        close += stream.recv(8 - len(close))
    mask, code = close[2:6], close[6:8]
    code = bytes(byte ^ mask[index] for index, byte in enumerate(code))
    stream.sendall(b"\x81\x011" + b"\x81\x012" + b"\x81\x013" + b"\x88\x02" + code)


def read_to_end(stream):
    while stream.recv(65536):
        pass


def serve(mode, stream):
    with stream:
        try:
            if mode == "garbage":
                stream.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
            elif mode == "deaf":
                switch(stream)
            elif mode == "no-accept":
                switch(stream, accept=b"AAAAAAAAAAAAAAAAAAAAAAAAAAA=")
            elif mode == "wrong-subprotocol":
                switch(stream, extra=b"Sec-WebSocket-Protocol: other\r\n")
            elif mode == "late":
                switch(stream)
                answer_late(stream)
            elif mode == "keep-alive":
                switch(stream, connection=b"keep-alive, Upgrade")
            if mode != "hangup":
                read_to_end(stream)
        except OSError:
            pass


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


def exit_with_reader():
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    poll.poll()
    os._exit(0)


def main(mode):
    threading.Thread(target=exit_with_reader, daemon=True).start()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0 if mode == "blackhole" else 128)
    filling = fill_backlog(listener.getsockname()) if mode == "blackhole" else []
    print(os.getpid(), listener.getsockname()[1], flush=True)
    if filling:
        threading.Event().wait()
    while True:
        stream, _ = listener.accept()
        threading.Thread(target=serve, args=(mode, stream), daemon=True).start()


main(sys.argv[1])
