"""What the tests of the extension have in common: a server, running a program, counting."""

import os
import re
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from build import ROOT

PYTHON = ROOT / "build/venv/bin/python"
SCRIPT = "tests/hosts/defold/scripts/events.lua"
PATIENCE = 120  # seconds

counts = {"passed": 0, "failed": 0}


def report(name, problem):
    counts["failed" if problem else "passed"] += 1
    print(f"not ok {name}\n{problem}" if problem else f"ok {name}", flush=True)


def summary():
    """The last line, and the exit code."""
    print(f"{counts['passed']} passed, {counts['failed']} failed")
    return counts["failed"] != 0


class Server:
    """A program of tests/peers, and what it saw."""

    def __init__(self, *program):
        command = [PYTHON, *(program or ["tests/peers/server.py"])]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self.port = self.process.stdout.readline().split()[1]
        self.url = f"ws://127.0.0.1:{self.port}"

    def seen(self, count):
        return [self.process.stdout.readline().strip() for _ in range(count)]

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@contextmanager
def server(*program):
    started = Server(*program)
    try:
        yield started
    finally:
        started.stop()


# A script that disconnects before CONNECTED: whether that end counts as clean depends today on how
# far the connection was. To be the same everywhere once `connect` ends with the next update.
RACE = re.compile(r"^(left early: DISCONNECTED) clean=\w+", re.M)


def execute(command, patience=PATIENCE, **environment):
    """What went wrong, or nothing, and the standard output."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=patience,
        )
    except subprocess.TimeoutExpired as late:
        return f"{late}", ""
    problem = f"exit code {done.returncode}\n{done.stderr}" if done.returncode or done.stderr else ""
    return problem, RACE.sub(r"\1", done.stdout)


def expect(what, expected, got):
    return "" if expected == got else f"{what}: expected\n{expected}\ngot\n{got}"


def closed_port():
    gone = Server()
    gone.stop()
    return gone.port


@contextmanager
def peers():
    """What the script of events meets, as its argument."""
    with server() as peer, server("tests/peers/raw.py", "silent") as silent:
        yield f"{peer.url} {closed_port()} {silent.port}"


def plain_log(interpreter, argument):
    """The events of the script on the module alone."""
    path = ROOT / "build/lua5.1/?.so"
    command = [interpreter, "tests/hosts/defold/plain.lua", SCRIPT, argument]
    problem, log = execute(command, LUA_CPATH=f"{path};;")
    if problem or not log.endswith("finished\n"):
        raise SystemExit(f"{interpreter}: {problem}\n{log}")
    return log


def wait_for_port(port, process):
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", int(port))).close()
            return
        except ConnectionRefusedError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise


@contextmanager
def tls_server(folder):
    """A server whose certificate nobody knows."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        + ["-nodes", "-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
        + ["-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    port = closed_port()
    command = ["node", "tests/network/server_tls.mjs", port, certificate, key]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        wait_for_port(port, process)
        yield f"wss://127.0.0.1:{port}/", certificate
    finally:
        process.kill()
        process.wait()


def certificates(name, host):
    # A path of the project, which is where the stub host runs.
    folder = tempfile.TemporaryDirectory(dir=ROOT / "build/defold")
    with folder as work, tls_server(Path(work)) as (url, certificate):
        problem, _ = execute([host, "certificates", url, f"/{certificate.relative_to(ROOT)}"])
    report(f"{name}: certificates", problem)
