"""A WebSocket server by Python's `websockets` that the tests talk to.

Prints "PID PORT" and serves until it is killed or nobody reads its output any more.
What a connection does is in the path of its URL:

/echo                     sends every message back
/headers                  sends the request's headers, a line each, then echoes
/close?code=C&reason=R    closes with that code, or with 4002 "over there"
/flood?count=N&size=S     sends N messages of S bytes, each beginning with its number
/observe                  echoes; prints "open", and "closed CODE REASON" at the end
/sink                     answers nothing; prints "MESSAGES BYTES" that it got, at the end
/tell                     answers nothing; prints "got N" for the Nth message
/drop                     breaks the TCP connection when the first message comes
/reject?status=N          answers the handshake with that status and the body "no entry"

The subprotocols are "chat" and "echo"; /no-subprotocol answers with none of them.
"""

import asyncio
import contextlib
import os
import select
import sys
import threading
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

SUBPROTOCOLS = ["chat", "echo"]


def parse(target):
    parts = urlsplit(target)
    return parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()}


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def headers(connection):
    lines = [f"{name}: {value}" for name, value in connection.request.headers.raw_items()]
    await connection.send("\n".join(lines))
    await echo(connection)


async def close(connection, code=4002, reason="over there"):
    await connection.close(int(code), reason)


async def flood(connection, count, size):
    for number in range(1, int(count) + 1):
        await connection.send(f"{number:010}".encode().ljust(int(size), b"."))
    await echo(connection)


async def observe(connection):
    print("open", flush=True)
    with contextlib.suppress(ConnectionClosed):
        await echo(connection)
    await connection.wait_closed()
    print(f"closed {connection.close_code} {connection.close_reason}".rstrip(), flush=True)


async def sink(connection):
    messages = size = 0
    with contextlib.suppress(ConnectionClosed):
        async for message in connection:
            messages += 1
            size += len(message)
    print(messages, size, flush=True)


async def tell(connection):
    messages = 0
    with contextlib.suppress(ConnectionClosed):
        async for _ in connection:
            messages += 1
            print("got", messages, flush=True)


async def drop(connection):
    await connection.recv()
    connection.transport.abort()


async def handle(connection):
    with contextlib.suppress(ConnectionClosed):
        await act(connection)


async def act(connection):
    path, query = parse(connection.request.path)
    if path == "/headers":
        await headers(connection)
    elif path == "/close":
        await close(connection, **query)
    elif path == "/flood":
        await flood(connection, **query)
    elif path == "/observe":
        await observe(connection)
    elif path == "/sink":
        await sink(connection)
    elif path == "/tell":
        await tell(connection)
    elif path == "/drop":
        await drop(connection)
    else:
        await echo(connection)


def answer(connection, request):
    path, query = parse(request.path)
    if path != "/reject":
        return None
    response = connection.respond(HTTPStatus(int(query["status"])), "no entry")
    response.headers["X-Reason"] = "members only"
    return response


def add_headers(_connection, _request, response):
    response.headers["X-Peer"] = "python"
    response.headers["Set-Cookie"] = "a=1"
    response.headers["Set-Cookie"] = "b=2"
    return response


def select_subprotocol(connection, offered):
    if parse(connection.request.path)[0] == "/no-subprotocol":
        return None
    return next((name for name in offered if name in SUBPROTOCOLS), None)


def exit_with_reader():
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    poll.poll()
    os._exit(0)


async def main():
    server = await serve(
        handle,
        "127.0.0.1",
        0,
        process_request=answer,
        process_response=add_headers,
        select_subprotocol=select_subprotocol,
        max_size=None,
        ping_interval=None,
        close_timeout=5,
    )
    print(os.getpid(), server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


threading.Thread(target=exit_with_reader, daemon=True).start()
asyncio.run(main())
