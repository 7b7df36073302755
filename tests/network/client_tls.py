"""A wss client by Python's `websockets`: python client_tls.py ROOT PORT. Prints the echo."""

import socket
import ssl
import sys

from websockets.sync.client import connect

root, port = sys.argv[1:]
context = ssl.create_default_context(cafile=root)
url = f"wss://chain.localhost:{port}/"
address = socket.create_connection(("127.0.0.1", int(port)))
with connect(url, ssl=context, sock=address) as client:
    client.send("hello")
    print(client.recv())
