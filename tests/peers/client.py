"""A WebSocket client by Python's `websockets`, run by the tests against our server.

client.py URL: sends compressed text and binary messages of all sizes and checks their echoes,
then fragments, the subprotocol, a close by us and a close by the server; prints a line for each,
and "failed: ..." with exit code 1 for the first that is not right.
client.py URL SIZE...: only echoes messages of these sizes.
"""

import asyncio
import os
import sys

from websockets.asyncio.client import connect, unix_connect
from websockets.exceptions import ConnectionClosed

SIZES = [0, 1, 125, 126, 65535, 65536, 1_000_000]


def check(condition, text):
    if not condition:
        print(f"failed: {text}")
        sys.exit(1)


def open_to(url, path, **options):
    options |= {"max_size": None, "ping_interval": None, "proxy": None}
    if url.startswith("ws+unix:"):
        socket = url.removeprefix("ws+unix:").removesuffix(":")
        return unix_connect(socket, f"ws://localhost/{path}", **options)
    return connect(f"{url}/{path}", **options)


def contents(size):
    """Text and binary, each in a form that deflates well and one that does not."""
    noise = os.urandom(size)
    text = bytes(byte & 127 for byte in noise).decode()
    return "\u00e9" * (size // 2) + "e" * (size % 2), bytes(size), text, noise


async def echoes(url, sizes=SIZES):
    async with open_to(url, "echo") as connection:
        extensions = connection.response.headers.get("Sec-WebSocket-Extensions")
        check(extensions == "permessage-deflate", f"extensions {extensions}")
        for size in sizes:
            for message in contents(size):
                await connection.send(message)
                check(await connection.recv() == message, f"the echo of {size} bytes")
    check(connection.close_code == 1000, f"close code {connection.close_code}")
    print("echoes")


async def fragments(url):
    async with open_to(url, "echo") as connection:
        await connection.send(["frag", "ment", "ed"])
        check(await connection.recv() == "fragmented", "the echo of fragments")
    print("fragments")


async def subprotocol(url):
    async with open_to(url, "echo", subprotocols=["unknown", "chat"]) as connection:
        check(connection.subprotocol == "chat", f"subprotocol {connection.subprotocol}")
    print("subprotocol")


async def close_from_client(url):
    connection = await open_to(url, "echo")
    await connection.close(4001, "over here")
    check(connection.close_code == 4001, f"close code {connection.close_code}")
    print("close from the client")


async def close_from_server(url):
    connection = await open_to(url, "close")
    try:
        await connection.recv()
        check(False, "no close")
    except ConnectionClosed as closed:
        check(closed.rcvd.code == 4002, f"close code {closed.rcvd.code}")
        check(closed.rcvd.reason == "over there", f"close reason {closed.rcvd.reason}")
    print("close from the server")


async def main(url, *sizes):
    if sizes:
        return await echoes(url, map(int, sizes))
    for scenario in (echoes, fragments, subprotocol, close_from_client, close_from_server):
        await scenario(url)


asyncio.run(main(*sys.argv[1:]))
