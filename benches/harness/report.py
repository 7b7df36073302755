"""The table on the terminal, and build/bench.json."""

import dataclasses
import json
import os
import platform
import subprocess

from .build import BUILD
from .clients import LUA_ALONE, OURS

JSON = BUILD.parent / "bench.json"

# How many times the floor's time a message may take: from which size on, and at most.
GROWTH_BARS = {"receive": {256: 2, 64 << 10: 1.3}, "send": {1 << 10: 1.5}}


def machine():
    """What the figures hold for."""
    cpu = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.release()}",
        "luajit": version("luajit", "-v"),
        "lua5.4": version("lua5.4", "-v"),
        "load": [round(it, 2) for it in os.getloadavg()],
    }


def version(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return " ".join((done.stdout + done.stderr).split()[:2])


def show(row):
    """One row: its bar, then everybody's figure, ours with the verdict."""
    print(f"\n{row.title}, {row.unit}    bar: {row.bar}")
    parts = []
    for name in sorted(row.values, key=lambda name: order(name, row)):
        verdict = {True: " (met)", False: " (missed)", None: ""}[row.met.get(name)]
        parts.append(f"{name} {figure(row.values[name])}{verdict}")
    parts += [f"{name} failed (missed)" for name in row.met if name not in row.values]
    print("    " + "   ".join(parts))
    if row.note:
        print(f"    {row.note}")


def order(name, row):
    """Ours first, then the floor, then the peers, the best first."""
    for place, ours in enumerate(OURS):
        if name.startswith(ours):
            return (0, place, name)
    value = -row.values[name] if row.more_is_better else row.values[name]
    return (1, 0, name) if name == "floor" else (2, value, name)


def figure(value):
    """Three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def show_growth(growth):
    titles = {
        "receive": "receive, µs per message over its size in bytes",
        "send": "send, µs per message over its size in bytes",
        "fan": "one 32 B echo on each connection, µs per message over connections",
    }
    for kind, lines in growth.items():
        points = [x for x, _ in next(iter(lines.values()), [])]
        print(f"\n{titles[kind]}")
        print("    " + "".join(f"{label(x):>9}" for x in ["", *points]))
        for name, line in lines.items():
            print("    " + f"{name:>9}" + "".join(f"{figure(us):>9}" for _, us in line))
        show_ratios(GROWTH_BARS.get(kind, {}), dict(lines.get("LuaJIT", [])), dict(lines.get("floor", [])))
        show_lua(*(dict(lines.get(name, [])) for name in ("LuaJIT", "floor", LUA_ALONE)))


def show_ratios(bars, ours, floor):
    """Ours over the floor, and at which sizes it is more than it may be."""
    ratios = {x: ours[x] / floor[x] for x in ours if x in floor}
    print("    " + f"{'x floor':>9}" + "".join(f"{ratio:>9.2f}" for ratio in ratios.values()))
    if not bars:
        return
    missed = []
    for x, ratio in ratios.items():
        limits = [most for least, most in bars.items() if x >= least]
        if limits and ratio > min(limits):
            missed.append(label(x))
    shown = ", ".join(f"{most} x floor from {label(least)}" for least, most in bars.items())
    print(f"    bar: {shown}   {'missed at ' + ', '.join(missed) if missed else 'met'}")


def show_lua(ours, floor, alone):
    """Ours over the floor and what Lua itself takes, where that is known: neither can be saved."""
    least = {x: floor[x] + alone[x] for x in alone if x in floor}
    if least:
        ratios = [ours[x] / us for x, us in least.items() if x in ours]
        print("    " + f"{'x both':>9}" + "".join(f"{ratio:>9.2f}" for ratio in ratios))


def label(number):
    if not isinstance(number, int):
        return number
    for power, suffix in ((20, "Mi"), (10, "Ki")):
        if number >= 1 << power and number % (1 << power) == 0:
            return f"{number >> power}{suffix}"
    return str(number)


def write(rows, growth, tables, repeats):
    result = {
        "machine": machine(),
        "repeats": repeats,
        "rows": [dataclasses.asdict(row) for row in rows],
        "growth": growth,
        "tables": tables,
    }
    JSON.parent.mkdir(parents=True, exist_ok=True)
    JSON.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
