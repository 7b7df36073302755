"""The rows of the table: what is measured, against which bar."""

from dataclasses import dataclass, field

from . import clients, machine
from .build import BUILD, ROOT
from .clients import LUA_ALONE, OURS, floor, medians, ours, peers

# IXWebSocket is in no registry that these benchmarks install from. Beside the same floor it took
# 0.20 µs per message where tungstenite took 0.054.
IXWEBSOCKET_PER_FLOOR = 0.20 / 0.054
MEGABYTE = 1 << 20


@dataclass
class Row:
    """One line of the table: `values` by contender, in `unit`; `bar` in words; whether each of
    ours meets it."""

    key: str
    title: str
    unit: str
    bar: str
    values: dict
    met: dict = field(default_factory=dict)
    note: str = ""
    more_is_better: bool = False


@dataclass
class Run:
    """What every row needs to know."""

    plain: int
    secure: int
    repeats: int
    with_peers: bool = True

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.plain}"

    @property
    def secure_url(self):
        return f"wss://localhost:{self.secure}"

    def ours(self, script, *arguments, repeats=None, timeout=60):
        """The medians of both interpreters, by their shown names."""
        contenders = [ours(lua, script, *arguments) for lua in OURS.values()]
        return medians(contenders, repeats or self.repeats, timeout)

    @property
    def few(self):
        """For what takes seconds and hardly varies."""
        return min(self.repeats, 3)

    def beside(self, mode, count, size):
        """Ours, the floor and the peers in one round-robin."""
        return medians(self.contenders(mode, self.plain, count, size), self.repeats)

    def apart(self, mode, count, size):
        """The same, with the clients on other cores than the peer."""
        peer, client = machine.apart()
        with machine.peer(peer) as (plain, _):
            contenders = self.contenders(mode, plain, count, size)
            for contender in contenders:
                contender.command = [*client, *contender.command]
            return medians(contenders, self.repeats)

    def contenders(self, mode, port, count, size):
        url = f"ws://127.0.0.1:{port}"
        found = [ours(lua, mode, url, count, size) for lua in OURS.values()]
        found.append(floor(mode, port, count, size))
        if self.with_peers:
            found += peers(mode, port, count, size)
        return found


def only(results, key):
    return {name: report[key] for name, report in results.items() if key in report}


def others(values):
    """Everybody but us and the floor."""
    return {name: value for name, value in values.items() if name not in (*OURS, "floor")}


def ahead_of(value, values, *names):
    """Whether `value` is less than that of every one of `names` that was measured."""
    return all(value < values[name] for name in names if name in values)


def receive(run):
    values = only(run.beside("receive", 200_000, 32), "us")
    alone = [ours(lua, "alone", 200_000, 32, name=name) for name, lua in OURS.items()]
    least = only(medians(alone, run.repeats), "us")
    jit, lua = values["LuaJIT"], values["Lua 5.4"]
    ix = values["floor"] * IXWEBSOCKET_PER_FLOOR
    return Row(
        "receive",
        "receive 200,000 x 32 B",
        "µs",
        "LuaJIT: 0.16 and ahead of every peer; Lua 5.4: ahead of IXWebSocket",
        values,
        {"LuaJIT": jit <= 0.16 and ahead_of(jit, values, *others(values)), "Lua 5.4": lua < ix},
        f"IXWebSocket is in no registry; 3.7 times the floor, as it was measured elsewhere, is {ix:.3f}. "
        f"Table, string and callback without a network: LuaJIT {least['LuaJIT']:.3f}, Lua 5.4 {least['Lua 5.4']:.3f}",
    )


def send(run):
    values = only(run.beside("send", 100_000, 32), "us")
    return Row(
        "send",
        "send 100,000 x 32 B",
        "µs",
        "0.25",
        values,
        {name: values[name] <= 0.25 for name in OURS},
    )


def round_trip(run):
    values = only(run.apart("echo", 5_000, 32), "p50")
    met = {
        name: values[name] <= 1.3 * values["floor"]
        and ahead_of(values[name], values, "picows", "Node ws", "lua-http")
        for name in OURS
    }
    bar = f"1.3 x floor = {1.3 * values['floor']:.1f}; ahead of picows, Node and lua-http"
    note = "the peer on one core, the clients on the other"
    return Row("rtt", "round trip 32 B, p50", "µs", bar, values, met, note)


def large_round_trip(run):
    values = only(run.beside("echo", 100, MEGABYTE), "p50")
    limit = 1.1 * values["floor"]
    met = {name: values[name] <= limit for name in OURS}
    return Row("echo", "round trip 1 MiB, p50", "µs", f"1.1 x floor = {limit:.0f}", values, met)


def secure_receive(run):
    count, size, ca = 200_000, 32, BUILD / "certificate.pem"
    contenders = [floor("read-tls", run.secure, count, size, ca)]
    for name, lua in OURS.items():
        contenders.append(ours(lua, "receive", run.url, count, size, name=f"{name} ws"))
        contenders.append(ours(lua, "receive", run.secure_url, count, size, ca))
    values = only(medians(contenders, run.repeats), "us")
    values["TLS alone"] = values.pop("floor")
    limits = {name: 1.3 * (values[f"{name} ws"] + values["TLS alone"]) for name in OURS}
    shown = ", ".join(f"{name} {limit:.3f}" for name, limit in limits.items())
    return Row(
        "wss",
        "wss receive 200,000 x 32 B",
        "µs",
        f"1.3 x (ws + TLS alone): {shown}",
        values,
        {name: values[name] <= limits[name] for name in OURS},
    )


def idle_update(run):
    calls = 3_000_000
    contenders = []
    for name, lua in OURS.items():
        contenders.append(ours(lua, "update", run.url, 1, calls))
        contenders.append(ours(lua, "update", run.url, 1_000, calls, name=f"{name}, 1,000 open"))
    values = {name: us * 1000 for name, us in only(medians(contenders, run.repeats), "us").items()}
    one, many = values["LuaJIT"], values["LuaJIT, 1,000 open"]
    # Two medians of the same thing differ by up to a fifth.
    met = {"LuaJIT": max(one, many) <= 40 and abs(many - one) <= 0.2 * one}
    return Row(
        "update", "update(), nothing queued, 1 open", "ns", "LuaJIT: 40, the same for 1 and 1,000", values, met
    )


def frames(run):
    results = run.ours("frames", run.url, 1_000_000, 32)
    drained = only(results, "us")
    values = only(results, "p50_ms")
    longest = only(results, "max_ms")
    note = "; ".join(
        f"{name}: {int(results[name]['frames'])} frames, p99 {results[name]['p99_ms']:.2f} ms, "
        f"longest {longest[name]:.2f} ms, {drained[name]:.3f} µs per message"
        for name in results
    )
    # One callback is far below a tenth of a millisecond.
    met = {name: results[name]["p99_ms"] <= 2.1 for name in results}
    return Row("frames", "update(2), 1,000,000 queued", "ms", "2 + one callback", values, met, note)


def opening(run):
    values = only(run.ours("open", run.url, 1_000), "seconds")
    met = {name: values[name] < 1 for name in OURS}
    return Row("open", "1,000 connections open", "s", "1.0", values, met)


def idle(run):
    results = run.ours("open", run.url, 5_000, 3000, repeats=run.few, timeout=120)
    values = only(results, "kib")
    cpu = only(results, "cpu_ms")
    met = {name: values[name] <= 36 and cpu[name] < 1 for name in values}
    note = "; ".join(f"{name}: {cpu[name]:.2f} ms of CPU time in 3 s" for name in cpu)
    return Row("idle", "5,000 idle connections, each", "KiB", "36, and no CPU", values, met, note)


def secure_idle(run):
    ca = BUILD / "certificate.pem"
    values = only(run.ours("open", run.secure_url, 1_000, 100, ca, repeats=run.few, timeout=120), "kib")
    met = {name: values[name] <= 110 for name in values}
    return Row("wss-idle", "1,000 idle wss connections, each", "KiB", "110", values, met)


def loading(run):
    contenders = [ours(lua, "require") for lua in OURS.values()]
    values = {name: us / 1000 for name, us in only(medians(contenders, 4 * run.repeats), "us").items()}
    met = {name: values[name] <= 3 for name in OURS}
    return Row("require", 'require("websocket")', "ms", "3", values, met)


def library_size(_run):
    values = {
        name: (ROOT / "build" / f"lua{clients.LUA_VERSIONS[lua]}" / "websocket.so").stat().st_size / 1e6
        for name, lua in OURS.items()
    }
    met = {name: values[name] <= 1.5 for name in OURS}
    return Row("size", "websocket.so, stripped", "MB", "1.5", values, met)


def allocation(run):
    # Not so many that the peer's messages begin to repeat: Lua allocates equal strings once.
    results = run.ours("allocation", run.url, 5_000, 32)
    values = only(results, "bytes")
    for name in OURS:
        values[f"{name} by hand"] = results[name]["by_hand"]
    met = {name: values[name] <= values[f"{name} by hand"] + 1 for name in OURS}
    bar = "a data table and its string, made by hand"
    return Row("allocation", "allocated per 32 B message", "B", bar, values, met)


def browser_object(run):
    contenders = []
    for name, lua in OURS.items():
        contenders.append(ours(lua, "receive", run.url, 200_000, 32, name=f"{name} callback"))
        contenders.append(ours(lua, "object", run.url, 200_000, 32))
    values = only(medians(contenders, run.repeats), "us")
    ratios = {name: values[name] / values[f"{name} callback"] for name in OURS}
    bar = "1.6 x the bare callback: " + ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
    met = {name: ratio < 1.6 for name, ratio in ratios.items()}
    return Row("object", "WebSocket object, receive", "µs", bar, values, met)


TABLE = {
    "receive": receive,
    "send": send,
    "rtt": round_trip,
    "echo": large_round_trip,
    "wss": secure_receive,
    "update": idle_update,
    "frames": frames,
    "open": opening,
    "idle": idle,
    "wss-idle": secure_idle,
    "require": loading,
    "size": library_size,
    "allocation": allocation,
    "object": browser_object,
}

IDLE = {"idle", "wss-idle"}

SIZES = [4**power for power in range(13)]
FANS = [1, 10, 100, 500, 2_000, 5_000]


def growth(run):
    """Time per message over its size, and over the number of connections; ours on LuaJIT beside
    the floor, and beside the string and the table that Lua makes of a received message. By kind of
    work, then by contender: pairs of x and µs."""
    sizes = {}
    for mode in ("receive", "send"):
        sizes[mode] = curve(
            SIZES,
            lambda size, mode=mode: [
                ours("luajit", mode, run.url, messages(size), size),
                floor(mode, run.plain, messages(size), size),
                *([ours("luajit", "alone", messages(size), size, name=LUA_ALONE)] if mode == "receive" else []),
            ],
            run.few,
        )
    fan = curve(
        FANS,
        lambda count: [ours("luajit", "fan", run.url, count, 32), floor("fan", run.plain, count, 32)],
        run.few,
    )
    return sizes | {"fan": fan}


def curve(points, contenders, repeats):
    lines = {}
    for x in points:
        for name, report in medians(contenders(x), repeats).items():
            lines.setdefault(name, []).append((x, report["us"]))
    return lines


def messages(size):
    """Enough that starting does not count, not so many that it takes long."""
    return max(4, min(50_000, 64 * MEGABYTE // size))
