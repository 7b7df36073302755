"""What the tests of the extension have in common: a server, running a program, counting."""

import difflib
import os
import queue
import subprocess
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path

from build import ROOT

PYTHON = ROOT / "build/venv/bin/python"
SCRIPTS = "tests/hosts/defold/scripts"
# Those that must report the same everywhere, and what the server sees of each.
COMPARED = {
    "events": ["20 200000", "closed 4003 see you", "open"],
    "clients": [],
    "straight": [],
}
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
        self.lines = queue.Queue()
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.strip())

    def seen(self, count):
        """The next lines that it prints, in alphabetical order."""
        return sorted(self.lines.get(timeout=PATIENCE) for _ in range(count))

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()


@contextmanager
def server(*program):
    started = Server(*program)
    try:
        yield started
    finally:
        started.stop()


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
    return problem, done.stdout


def expect(what, expected, got):
    if expected == got:
        return ""
    if not (isinstance(expected, str) and isinstance(got, str)):
        return f"{what}: expected {expected}, got {got}"
    lines = difflib.unified_diff(expected.splitlines(), got.splitlines(), "expected", "got", lineterm="")
    return "\n".join([f"{what}:", *lines])


def closed_port():
    gone = Server()
    gone.stop()
    return gone.port


class Peers:
    """What the scripts to be compared meet."""

    def __init__(self, stack):
        self.server = stack.enter_context(server())
        self.argument = f"{self.server.url} closed={closed_port()}"
        for mode in ("silent", "late", "deaf"):
            peer = stack.enter_context(server("tests/peers/raw.py", mode))
            self.argument += f" {mode}={peer.port}"

    def run(self, name, command, **environment):
        """What went wrong, or nothing, and what the script of that name has reported."""
        script = f"{SCRIPTS}/{name}.lua"
        problem, log = execute([*command, script, self.argument], **environment)
        seen = COMPARED[name]
        problem = problem or expect("at the server", seen, self.server.seen(len(seen)))
        return problem, log

    def plain(self, name, interpreter="luajit"):
        """Its report on the module alone."""
        path = ROOT / "build/lua5.1/?.so"
        command = [interpreter, "tests/hosts/defold/plain.lua"]
        problem, log = self.run(name, command, LUA_CPATH=f"{path};;")
        if problem or not log.endswith("finished\n"):
            raise SystemExit(f"{name}, {interpreter}: {problem}\n{log}")
        return log


@contextmanager
def peers():
    with ExitStack() as stack:
        yield Peers(stack)


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
    command = ["node", "tests/network/server_tls.mjs", "0", certificate, key]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        port = process.stdout.readline().strip()
        yield f"wss://127.0.0.1:{port}/", certificate
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def certificates(name, host):
    # A path of the project, which is where the stub host runs.
    folder = tempfile.TemporaryDirectory(dir=ROOT / "build/defold")
    with folder as work, tls_server(Path(work)) as (url, certificate):
        problem, _ = execute([host, "certificates", url, f"/{certificate.relative_to(ROOT)}"])
    report(f"{name}: certificates", problem)
