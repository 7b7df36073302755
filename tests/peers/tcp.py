"""What the peers that speak TCP by hand share: a server loop, and the handshake."""

import base64
import hashlib
import os
import select
import socket
import sys
import threading

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def read_head(stream):
    """The head of a request or a response; None if the stream ends before."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = stream.recv(4096)
        if not data:
            return None
        head += data
    return head


def accept_of(head):
    """The Sec-WebSocket-Accept that answers a request."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"sec-websocket-key":
            return base64.b64encode(hashlib.sha1(value.strip() + GUID).digest())
    return b""


def switching(head, *fields, accept=None, connection=b"Upgrade"):
    """The 101 that answers a request, with further fields."""
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: " + connection,
        b"Sec-WebSocket-Accept: " + (accept or accept_of(head)),
        *fields,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def drain(stream):
    while stream.recv(65536):
        pass


def listen(backlog):
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(backlog)
    return listener


def announce(bound):
    """Prints "PID PORT"; from then on this process lives as long as someone reads its output."""
    threading.Thread(target=exit_with_reader, daemon=True).start()
    print(os.getpid(), bound.getsockname()[1], flush=True)


def exit_with_reader():
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    poll.poll()
    os._exit(0)


def serve_forever(listener, handle):
    """Gives each connection to `handle`, in a thread of its own."""
    while True:
        stream, _ = listener.accept()
        threading.Thread(target=run, args=(handle, stream), daemon=True).start()


def run(handle, stream):
    with stream:
        try:
            handle(stream)
        except OSError:
            pass
