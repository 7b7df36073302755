"""How each client is run, and how its one line of output is read."""

import json
import os
import shutil
import statistics
import subprocess
from dataclasses import dataclass

from .build import BENCHES, BUILD, ROOT
from .machine import NATIVE

LUA_VERSIONS = {"luajit": "5.1", "lua5.4": "5.4"}
OURS = {"LuaJIT": "luajit", "Lua 5.4": "lua5.4"}
# What it takes to make a message's values, without any network.
LUA_ALONE = "Lua alone"


@dataclass
class Client:
    """A program to measure: its name in the tables and how to run it."""

    name: str
    command: list
    environment: dict

    def run(self, timeout=60):
        """What it reports, as a dictionary; None if it failed."""
        try:
            done = subprocess.run(
                [str(part) for part in self.command],
                env=os.environ | self.environment,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if not lines:
            print(f"    {self.name} failed: {done.stderr.strip()[-300:]}")
            return None
        return json.loads(lines[-1])


def ours(interpreter, script, *arguments, name=None):
    """One of benches/lua under an interpreter."""
    version = LUA_VERSIONS[interpreter]
    environment = {
        "LUA_CPATH": f"{ROOT}/build/lua{version}/?.so;;",
        "LUA_PATH": f"{BENCHES}/lua/?.lua;;",
    }
    command = [interpreter, BENCHES / "lua" / f"{script}.lua", *arguments]
    shown = next(shown for shown, it in OURS.items() if it == interpreter)
    return Client(name or shown, command, environment)


def floor(mode, port, *arguments):
    return Client("floor", [NATIVE / "floor", port, mode, *arguments], {})


def peers(mode, port, count, size):
    """The clients that people would pick instead, as far as they are installed."""
    url = f"ws://127.0.0.1:{port}"
    arguments = [url, mode, count, size]
    source = BENCHES / "peers"
    found = []
    if shutil.which("luajit") and lua_http_is_installed():
        # What takes it tens of microseconds or milliseconds needs no more to be told.
        few = count if size < 65536 and mode == "receive" else max(count // 10, 1)
        command = ["luajit", source / "lua_http_client.lua", url, mode, few, size]
        found.append(Client("lua-http", command, {"LUA_PATH": f"{BENCHES}/lua/?.lua;;"}))
    node = {"NODE_PATH": str(BUILD / "node_modules")}
    return [
        Client("Bun", [BUILD / "node_modules" / ".bin" / "bun", source / "client.mjs", *arguments], {}),
        Client("picows", [BUILD / "venv" / "bin" / "python", source / "picows_client.py", *arguments], {}),
        Client("Node ws", ["node", source / "client.mjs", *arguments], node),
        *found,
    ]


def lua_http_is_installed():
    probe = ["luajit", "-e", "require('http.websocket')"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def medians(clients, repeats, timeout=60):
    """Every client once per round, so that what disturbs one disturbs all. The medians of what
    they reported, by name."""
    reports = {client.name: [] for client in clients}
    for _ in range(repeats):
        for client in clients:
            report = client.run(timeout)
            if report:
                reports[client.name].append(report)
    return {name: median(runs) for name, runs in reports.items() if runs}


def median(reports):
    return {key: statistics.median(report[key] for report in reports) for key in reports[0]}
