"""python-websockets with the paths of native/src/bin/load:
`server_websockets.py [deflate | CERTIFICATE KEY]` prints its port."""

import asyncio
import ssl
import sys

from websockets.asyncio.server import broadcast, serve
from websockets.exceptions import ConnectionClosed

topic = set()


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def listen(connection):
    topic.add(connection)
    try:
        await connection.send("hello")
        await connection.wait_closed()
    finally:
        topic.discard(connection)


async def publish(connection):
    async for message in connection:
        if isinstance(message, str):
            waiting = (it.transport.get_write_buffer_size() for it in topic)
            await connection.send(str(max(waiting, default=0)))
        else:
            broadcast(topic, message)


async def handle(connection):
    work = {"/echo": echo, "/topic": listen, "/publish": publish}[connection.request.path]
    try:
        await work(connection)
    except ConnectionClosed:
        pass


async def main():
    first, *rest = sys.argv[1:] or [""]
    tls = None
    if rest:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(first, rest[0])
    compression = "deflate" if first == "deflate" else None
    # Nobody else sends pings of its own accord.
    options = {"ssl": tls, "compression": compression, "ping_interval": None, "open_timeout": 60}
    async with serve(handle, "127.0.0.1", 0, **options) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


asyncio.run(main())
