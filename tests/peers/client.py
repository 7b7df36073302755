"""A WebSocket client by Python's `websockets`, run by the tests against our server.

client.py URL: sends text and binary messages of all sizes and checks their echoes, the
subprotocol, a close by us and a close by the server; prints a line for each, and "failed: ..."
with exit code 1 for the first that is not right.
"""

import asyncio
import os
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

SIZES = [0, 1, 125, 126, 65535, 65536, 1_000_000, 20_000_000]


def check(condition, text):
    if not condition:
        print(f"failed: {text}")
        sys.exit(1)


def open_to(url, path, **options):
    return connect(f"{url}/{path}", max_size=None, ping_interval=None, proxy=None, **options)


async def echoes(url):
    async with open_to(url, "echo") as connection:
        for size in SIZES:
            for message in (os.urandom(size), "\u00e9" * (size // 2)):
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


async def main(url):
    for scenario in (echoes, fragments, subprotocol, close_from_client, close_from_server):
        await scenario(url)


asyncio.run(main(sys.argv[1]))
