"""Runs shell commands for programs under Wine: their io.popen and os.execute end here.

Prints its port, and serves until its standard input ends. A client sends "p" (popen) or "x"
(execute) and a command, with their length before them (4 bytes, big endian). It gets blocks of
output in the same form, none for "x", an empty one at the end, and then the exit status as 4
bytes.
"""

import os
import signal
import socket
import struct
import subprocess
import sys
import threading


def receive(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionError("the client has gone")
        data += more
    return data


def popen(connection, command):
    # A session of its own, so that what the command started can be ended with it.
    child = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    try:
        while block := os.read(child.stdout.fileno(), 65536):
            connection.sendall(struct.pack(">I", len(block)) + block)
        return child.wait()
    except OSError:
        os.killpg(child.pid, signal.SIGTERM)
        child.wait()
        raise
    finally:
        child.stdout.close()


def execute(_, command):
    return subprocess.call(command, stdout=sys.stderr)


def serve(connection):
    with connection:
        try:
            (length,) = struct.unpack(">I", receive(connection, 4))
            request = receive(connection, length).decode()
            run = {"p": popen, "x": execute}[request[0]]
            status = run(connection, ["sh", "-c", request[1:]])
            connection.sendall(struct.pack(">II", 0, status if status >= 0 else 128 - status))
        except OSError:  # the client has gone
            pass


def accept(listener):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=[connection], daemon=True).start()


listener = socket.create_server(("127.0.0.1", 0), backlog=64)
print(listener.getsockname()[1], flush=True)
threading.Thread(target=accept, args=[listener], daemon=True).start()
sys.stdin.read()
