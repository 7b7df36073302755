"""Python's `websockets` at the door of our server: tokens.py URL prints what becomes of a client
with a token in a header, in the query, with a wrong one, with none, and of a page elsewhere."""

import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus


async def knock(url, token=None, **options):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        async with connect(url, additional_headers=headers, proxy=None, **options) as connection:
            return await connection.recv()
    except InvalidStatus as refused:
        response = refused.response
        challenge = response.headers.get("WWW-Authenticate", "-")
        return f"{response.status_code} {challenge} {response.body.decode().strip()}"


async def main(url):
    print(await knock(url, "secret"))
    print(await knock(f"{url}/?token=sec%72et"))
    print(await knock(url, "guess"))
    print(await knock(url))
    print(await knock(url, "secret", origin="https://elsewhere.example"))


asyncio.run(main(sys.argv[1]))
