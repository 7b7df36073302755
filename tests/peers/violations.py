"""A peer that breaks the protocol and prints what it gets for that.

violations.py MODE: a server, prints "PID PORT". violations.py MODE PORT: a client of that port.
After the handshake it sends, in one packet,

message    a text message, and a frame with a reserved opcode
nothing    that frame alone
text       a text message that is no UTF-8, and that frame
busy       two messages and that frame, after a message that was answered
more       that frame, and then 4 MiB more
stay       that frame; does not close the connection before the process ends

and prints a line for each frame that comes: "text PAYLOAD", or "close CODE MILLISECONDS" with
the time since it sent. A server closes the connection then, a client when it has ended, which
is the line "end".
"""

import socket
import sys
import threading
import time

from tcp import announce, listen, read_head, serve_forever, switching

TEXT, RESERVED, CLOSE = 1, 3, 8
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def frame(opcode, payload=b"", masked=False):
    """A client's is masked, with a key of zeros."""
    length = len(payload) | (128 if masked else 0)
    return bytes([128 | opcode, length]) + bytes(4 if masked else 0) + payload


def read_exactly(stream, count):
    data = b""
    while len(data) < count:
        part = stream.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def read_frame(stream):
    first, second = read_exactly(stream, 2)
    key = read_exactly(stream, 4) if second & 128 else bytes(4)
    payload = read_exactly(stream, second & 127)
    return first & 15, bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


def violate(stream, mode, masked):
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    before = b""
    if mode == "busy":
        stream.sendall(frame(TEXT, b"first", masked))
        print("text", read_frame(stream)[1].decode(), flush=True)
        before = frame(TEXT, b"second", masked) + frame(TEXT, b"third", masked)
    elif mode == "message":
        before = frame(TEXT, b"before", masked)
    elif mode == "text":
        before = frame(TEXT, b"a\xff\xc3(", masked)
    began = time.monotonic()
    stream.sendall(before + frame(RESERVED, masked=masked))
    if mode == "more":
        stream.sendall(bytes(4 << 20))
    opcode = None
    while opcode != CLOSE:
        opcode, payload = read_frame(stream)
        if opcode == TEXT:
            print("text", payload.decode(), flush=True)
    took = (time.monotonic() - began) * 1000
    print("close", int.from_bytes(payload[:2], "big"), int(took), flush=True)


def serve(mode, stream):
    stream.sendall(switching(read_head(stream)))
    violate(stream, mode, masked=False)


def connect(mode, port):
    with socket.create_connection(("127.0.0.1", port)) as stream:
        announce(stream)
        stream.sendall(REQUEST)
        read_head(stream)
        violate(stream, mode, masked=True)
        if stream.recv(1) == b"":
            print("end", flush=True)
        if mode == "stay":
            threading.Event().wait()
    threading.Event().wait()


def main(mode, port=None):
    if port:
        connect(mode, int(port))
    else:
        listener = listen(1)
        announce(listener)
        serve_forever(listener, lambda stream: serve(mode, stream))


main(*sys.argv[1:])
