"""The rows of the table in which servers are measured, ours on LuaJIT."""

import os

from . import machine
from .clients import medians
from .rows import Row, only
from .servers import CERTIFICATE, KEY, OURS, Served, accept_loop, load, our_server, peer_servers

# What the server did when each of its connections was a thread, 32 B echoes a second on 1,000
# connections, on the machine of the pictures.
ECHOES_BEFORE = 26_000
# An accepted connection is on one of so many threads.
WORKERS = min(os.cpu_count() or 1, 4)


def beside(run, command, *arguments, repeats=None, prefixes=((), ())):
    """Ours and the peers under the same load, in one round-robin."""
    servers = [our_server(*arguments), *(peer_servers(*arguments) if run.with_peers else [])]
    contenders = [Served(server.name, server, command, prefixes) for server in servers]
    return medians(contenders, repeats or run.few)


def ahead_of_bun(values):
    """None where there is nobody to be ahead of; what failed is not ahead."""
    if OURS not in values:
        return False
    return values[OURS] > values["Bun"] if "Bun" in values else None


def echo(connections):
    def row(run):
        # As the round trip of a client is: see machine.apart.
        before_server, before_load = machine.apart() if connections == 1 else ((), ())
        command = load("echo", connections=connections, size=32, seconds=1)
        results = beside(run, command, prefixes=(before_server, before_load))
        values = only(results, "per_second")
        met, bar = ahead_of_bun(values), "ahead of Bun"
        if connections == 1_000:
            least = 3 * ECHOES_BEFORE
            met = False if values.get(OURS, 0) < least else met
            bar = f"ahead of Bun, and 3 times what it was = {least:,}"
        title = f"server: 32 B echoes, connections {connections:,}, one in flight on each"
        return rate(f"serve-{connections}", title, "messages per second", bar, values, met, echo_note(results))

    return row


def echo_note(results):
    each = [
        f"{name} {result['p50']:.0f} and {result['p99']:.0f} µs, CPU {result['cpu_us']:.1f} µs"
        for name, result in results.items()
    ]
    busy = [result["load_busy"] for result in results.values()]
    shown = f"; the load busy {min(busy):.0%} to {max(busy):.0%} of the time" if busy else ""
    return f"round trip p50 and p99, the server's CPU for one: {'; '.join(each)}{shown}"


def rate(key, title, unit, bar, values, met, note=""):
    return Row(key, title, unit, bar, values, {OURS: met}, note, more_is_better=True)


def broadcast(run):
    command = load("broadcast", connections=1_000, size=64, seconds=1.5)
    results = beside(run, command)
    values = only(results, "per_second")
    each = [f"{name} {result['p99'] / 1000:.1f} ms, CPU {result['cpu_us']:.2f} µs" for name, result in results.items()]
    note = f"one message in flight; p99 from its publication, the server's CPU for a delivery: {'; '.join(each)}"
    title, unit = "server: broadcast of 64 B to 1,000", "deliveries per second"
    return rate("broadcast", title, unit, "ahead of Bun", values, ahead_of_bun(values), note)


def compressed_broadcast(run):
    contenders = []
    for name, publish in ((OURS, ""), (f"{OURS} in a loop", "/loop")):
        command = load("broadcast", connections=1_000, size=1_024, seconds=1.5, deflate="true", publish=publish)
        contenders.append(Served(name, our_server("deflate"), command))
    if run.with_peers:
        command = load("broadcast", connections=1_000, size=1_024, seconds=1.5, deflate="true")
        contenders += [Served(server.name, server, command) for server in peer_servers("deflate")]
    values = only(medians(contenders, run.few), "cpu_us")
    one, each = values.get(OURS), values.get(f"{OURS} in a loop")
    met = one is not None and each is not None and one <= 0.1 * each
    bar = "0.1 x a loop of sends" + (f" = {0.1 * each:.2f}" if each else "")
    title, unit = "server: broadcast of 1 KiB, compressed, to 1,000", "µs of CPU for a delivery"
    return Row("broadcast-deflate", title, unit, bar, values, {OURS: met})


def stalled(run):
    """Peers have no `latest`: they are not asked to do this."""
    alone, with_one = f"{OURS}, all read", OURS
    contenders = []
    for name, count in ((alone, 0), (with_one, 1)):
        command = load("broadcast", connections=100, size=1_024, messages=1_000, publish="/latest", stalled=count)
        contenders.append(Served(name, our_server(), command))
    results = medians(contenders, run.few)
    values = {name: p99 / 1000 for name, p99 in only(results, "p99").items()}
    waiting = results[with_one]["buffered_kib"] if with_one in results else None
    met = len(values) == 2 and waiting <= 64 and values[with_one] <= 1.2 * values[alone]
    limit = f" = {1.2 * values[alone]:.1f}" if alone in values else ""
    bar = f"1.2 x without{limit}, its queue at most 64 KiB"
    note = "" if waiting is None else f"at most {waiting:.1f} KiB waited for the one that stalled"
    title = "server: 1,000 x 1 KiB with `latest` to 100, p99, while one more stalls"
    return Row("stalled", title, "ms", bar, values, {OURS: met}, note)


def idle(run):
    results = beside(run, load("idle", connections=10_000, seconds=3), repeats=1)
    values = only(results, "kib")
    most = WORKERS + 3
    met = False
    if OURS in results:
        one = results[OURS]
        met = one["kib"] <= 12 and one["cpu_ms"] < 1 and one["threads"] <= most
    each = [f"{name} {it['cpu_ms']:.2f} ms and {it['threads']:.0f}" for name, it in results.items()]
    note = f"one run; CPU time in 3 s, and threads: {'; '.join(each)}"
    bar = f"12, no CPU, at most {most} threads"
    return Row("clients-idle", "server: 10,000 idle clients, each", "KiB", bar, values, {OURS: met}, note)


def arrival(run):
    values = only(beside(run, load("open", connections=1_000)), "seconds")
    met = values.get(OURS, 1) <= 0.2
    title = "server: 1,000 clients connect at once, to the last greeting"
    return Row("arrival", title, "s", "0.2", values, {OURS: met})


def secure_arrival(run):
    command = load("open", connections=1_000, ca=CERTIFICATE)
    servers = [accept_loop(), our_server(CERTIFICATE, KEY)]
    servers += peer_servers(CERTIFICATE, KEY) if run.with_peers else []
    values = only(medians([Served(server.name, server, command) for server in servers], run.few), "seconds")
    met = OURS in values and "floor" in values and values[OURS] <= 1.3 * values["floor"]
    bar = "1.3 x a plain native-tls loop" + (f" = {1.3 * values['floor']:.2f}" if "floor" in values else "")
    title = "server: 1,000 wss clients connect at once"
    return Row("wss-arrival", title, "s", bar, values, {OURS: met})


TABLE = {
    **{f"serve-{connections}": echo(connections) for connections in (1, 10, 100, 1_000)},
    "broadcast": broadcast,
    "broadcast-deflate": compressed_broadcast,
    "stalled": stalled,
    "clients-idle": idle,
    "arrival": arrival,
    "wss-arrival": secure_arrival,
}

IDLE = {"clients-idle"}
