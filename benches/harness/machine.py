"""The machine under measurement: the peer, the cores kept awake, the limits, what else runs."""

import contextlib
import os
import resource
import subprocess

from .build import BUILD

NATIVE = BUILD / "target" / "release"


def raise_limits():
    """Thousands of connections have several descriptors each."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextlib.contextmanager
def peer(prefix=()):
    """Yields the ports of the peer, plain and with TLS. `prefix` goes before its command."""
    command = [*prefix, NATIVE / "peer", BUILD / "certificate.pem", BUILD / "key.pem"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        plain, secure = process.stdout.readline().split()
        try:
            yield int(plain), int(secure)
        finally:
            process.kill()


def apart():
    """What goes before the peer's command and before a client's, so that each keeps to cores of
    its own. Left alone the scheduler puts a ping-pong on one core or on two as it likes, which
    halves or doubles its time from one run to the next."""
    first, *rest = sorted(os.sched_getaffinity(0))
    if not rest:
        return (), ()
    return ("taskset", "-c", str(first)), ("taskset", "-c", ",".join(map(str, rest)))


@contextlib.contextmanager
def awake_cores():
    """A SCHED_IDLE spinner for each core: it runs only when nothing else wants to, and keeps
    the core out of the idle states that take tens of microseconds to leave on a VM."""
    spinners = [
        subprocess.Popen(["taskset", "-c", str(core), "chrt", "-i", "0", "sh", "-c", "while :; do :; done"])
        for core in sorted(os.sched_getaffinity(0))
    ]
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()


def load():
    return os.getloadavg()[0]
