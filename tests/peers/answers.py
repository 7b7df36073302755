"""A TCP server that answers an HTTP upgrade as its path says. Prints "PID PORT" and waits.

/status/N           status N with a body of known length
/chunked            403 with a chunked body
/until-close        403 with a body that ends with the connection
/long               403 with a body of 100 KiB
/slow               403 whose body stops half way
/trickle            101, one byte at a time
/large              101, then one message of 1 MiB, sent over half a second
/half               the first half of a 101, then nothing
/cut/N/close        the first N bytes of a 101, then the end: also reset and stall
"""

import socket
import struct
import time

from tcp import announce, drain, listen, read_head, serve_forever, switching

REASONS = {301: b"Moved Permanently", 429: b"Too Many Requests"}


def refusal(status, body, *fields):
    reason = REASONS.get(status, b"No")
    head = [b"HTTP/1.1 %d %s" % (status, reason), b"X-Reason: members only", *fields]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def length_of(body):
    return b"Content-Length: %d" % len(body)


def end(stream, how):
    if how == "reset":
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif how == "close":
        stream.shutdown(socket.SHUT_WR)
        drain(stream)
    else:
        drain(stream)


def answer(stream, head):
    path = head.split(b" ")[1].decode().strip("/").split("/")
    if path[0] == "status":
        status = int(path[1])
        location = b"Location: ws://127.0.0.1:1/"
        stream.sendall(refusal(status, b"no entry", length_of(b"no entry"), location))
        drain(stream)
    elif path[0] == "chunked":
        body = b"3\r\nno \r\n5;x=y\r\nentry\r\n0\r\n\r\n"
        stream.sendall(refusal(403, body, b"Transfer-Encoding: chunked"))
        drain(stream)
    elif path[0] == "until-close":
        stream.sendall(refusal(403, b"no entry"))
        end(stream, "close")
    elif path[0] == "long":
        body = b"x" * 100 * 1024
        stream.sendall(refusal(403, body, length_of(body)))
        drain(stream)
    elif path[0] == "slow":
        stream.sendall(refusal(403, b"no entry", b"Content-Length: 16"))
        drain(stream)
    elif path[0] == "trickle":
        for byte in switching(head):
            stream.sendall(bytes([byte]))
        drain(stream)
    elif path[0] == "large":
        stream.sendall(switching(head) + struct.pack("!BBQ", 0x82, 127, 1 << 20))
        for _ in range(16):
            stream.sendall(b"x" * (1 << 16))
            time.sleep(0.03)
        drain(stream)
    elif path[0] == "half":
        stream.sendall(switching(head)[:60])
        drain(stream)
    elif path[0] == "cut":
        stream.sendall(switching(head)[: int(path[1])])
        end(stream, path[2])


def serve(stream):
    head = read_head(stream)
    if head:
        answer(stream, head)


listener = listen(512)
announce(listener)
serve_forever(listener, serve)
