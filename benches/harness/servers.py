"""The servers that are measured, each started anew for every run of the load."""

import contextlib
import os
import subprocess
import threading
from dataclasses import dataclass

from .build import BENCHES, BUILD
from .clients import Client, ours
from .machine import NATIVE

CERTIFICATE, KEY = BUILD / "certificate.pem", BUILD / "key.pem"
OURS = "LuaJIT"
# One that has not said its port by then has failed.
START_SECONDS = 20


@dataclass
class Served:
    """A server with the load on it: to `medians` a client like any other."""

    name: str
    server: Client
    load: list
    # What goes before the server's command, and before the load's.
    prefixes: tuple = ((), ())

    def run(self, timeout=60):
        """What the load reports; None if it failed, or the server."""
        before_server, before_load = self.prefixes
        with started(self.server, before_server) as (port, pid):
            if port is None:
                print(f"    {self.name} does not listen")
                return None
            command = [*before_load, NATIVE / "load", *self.load, f"port={port}", f"pid={pid}"]
            return Client(self.name, command, {}).run(timeout)


@contextlib.contextmanager
def started(server, prefix=()):
    """Yields its port, None if it ended without one, and the number of its process."""
    command = [str(part) for part in (*prefix, *server.command)]
    environment = os.environ | server.environment
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        guard = threading.Timer(START_SECONDS, process.kill)
        guard.start()
        try:
            port = process.stdout.readline().strip()
            guard.cancel()
            yield int(port) if port else None, process.pid
        finally:
            guard.cancel()
            process.kill()


def our_server(*arguments, name=OURS):
    return ours("luajit", "server", *arguments, name=name)


def peer_servers(*arguments):
    """What people would pick instead."""
    source = BENCHES / "peers"
    node = {"NODE_PATH": str(BUILD / "node_modules")}
    python = BUILD / "venv" / "bin" / "python"
    return [
        Client("Bun", [BUILD / "node_modules" / ".bin" / "bun", source / "server_bun.mjs", *arguments], {}),
        Client("Node ws", ["node", source / "server_ws.mjs", *arguments], node),
        Client("Python", [python, source / "server_websockets.py", *arguments], {}),
    ]


def accept_loop():
    """What the TLS library itself takes: it accepts, and that is all."""
    return Client("floor", [NATIVE / "accept", CERTIFICATE, KEY], {})


def load(mode, **settings):
    return [mode, *(f"{name}={value}" for name, value in settings.items())]
