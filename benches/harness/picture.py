"""The pictures for the README: SVG that reads on a light and on a dark page."""

import math
from html import escape

from .build import BENCHES
from .clients import LUA_ALONE, OURS
from .report import figure, label

FOLDER = BENCHES / "results"
WIDTH = 860
PANEL = 420
ROW = 22
NAMES = 74
# A bar this many times as long as the shortest of ours is cut off, where less is better.
MOST_TIMES_OURS = 6

STYLE = """
  text { font: 12px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #1f2328 }
  .title { font-size: 13px; font-weight: 600 }
  .quiet { fill: #59636e }
  .end { text-anchor: end }
  .middle { text-anchor: middle }
  .ours { fill: #0969da; stroke: #0969da }
  .floor { fill: #9aa4af; stroke: #9aa4af }
  .peer { fill: #d0d7de; stroke: #d0d7de }
  rect { stroke: none }
  polyline.line { fill: none; stroke-width: 2; stroke-linejoin: round }
  .grid { stroke: #d1d9e0; stroke-width: 1 }
  .cut { fill: none; stroke: #ffffff; stroke-width: 3 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .quiet { fill: #9198a1 }
    .ours { fill: #4493f8; stroke: #4493f8 }
    .floor { fill: #6e7681; stroke: #6e7681 }
    .peer { fill: #3d444d; stroke: #3d444d }
    .grid { stroke: #3d444d }
    .cut { stroke: #0d1117 }
  }
"""

PANELS = {
    "receive": "Receive 32 B, µs per message",
    "send": "Send 32 B, µs per message",
    "rtt": "Round trip of 32 B, median µs",
    "echo": "Round trip of 1 MiB, median µs",
}

SERVER_PANELS = {
    "serve-1": "32 B echoes a second, 1 client; more is better",
    "serve-10": "32 B echoes a second, 10 clients",
    "serve-100": "32 B echoes a second, 100 clients",
    "serve-1000": "32 B echoes a second, 1,000 clients",
    "broadcast": "Broadcast of 64 B to 1,000, deliveries a second",
    "clients-idle": "10,000 idle clients, KiB each; less is better",
    "arrival": "1,000 clients connect at once, seconds",
    "wss-arrival": "1,000 wss clients connect at once, seconds",
}

CURVES = {
    "receive": "Receive: µs per message over its size in bytes",
    "send": "Send: µs per message over its size in bytes",
    "fan": "An echo of 32 B on each connection: µs per message over the number of connections",
}


def draw(rows, growth):
    """Writes the pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    by_key = {row.key: row for row in rows}
    alt = "Time per message of this module, the floor and other clients; less is better."
    (FOLDER / "comparison.svg").write_text(comparison(by_key, PANELS, alt))
    alt = "This module's server beside others."
    (FOLDER / "server.svg").write_text(comparison(by_key, SERVER_PANELS, alt))
    (FOLDER / "growth.svg").write_text(curves(growth))


def comparison(rows, panels, alt):
    rows = [rows[key] for key in panels]
    height = max(len(row.values) for row in rows) * ROW + 44
    shapes = []
    for index, row in enumerate(rows):
        x, y = (index % 2) * (PANEL + 20), (index // 2) * (height + 10)
        shapes.append(group(x, y, bars(row, panels[row.key])))
    return svg(math.ceil(len(rows) / 2) * (height + 10) - 10, alt, shapes)


def bars(row, title):
    longest = longest_bar(row)
    room = PANEL - NAMES - 60
    shapes = [text(0, 14, title, "title")]
    best_first = sorted(row.values.items(), key=lambda item: item[1], reverse=row.more_is_better)
    for index, (name, value) in enumerate(best_first):
        y = 26 + index * ROW
        width = max(room * min(value / longest, 1), 1)
        kind = "ours" if name in OURS else "floor" if name == "floor" else "peer"
        shapes.append(text(NAMES - 8, y + 13, name, "end" if kind == "ours" else "end quiet"))
        shapes.append(element("rect", x=NAMES, y=y, width=round(width, 1), height=ROW - 5, rx=2, **{"class": kind}))
        if value > longest:
            shapes.append(element("path", d=f"M{NAMES + room - 24} {y + ROW - 4} l5 -{ROW - 3}", **{"class": "cut"}))
        shapes.append(text(NAMES + width + 6, y + 13, figure(value), "" if kind == "ours" else "quiet"))
    return shapes


def longest_bar(row):
    """The value that is drawn at full length."""
    if row.more_is_better:
        return max(row.values.values(), default=0)
    ours = [row.values[name] for name in OURS if name in row.values]
    most = MOST_TIMES_OURS * min(ours) if ours else math.inf
    return max((value for value in row.values.values() if value <= most), default=0)


def curves(growth):
    height = 250
    shapes = []
    for index, (kind, title) in enumerate(CURVES.items()):
        width = PANEL if index < 2 else WIDTH
        x, y = (index % 2) * (PANEL + 20), (index // 2) * (height + 20)
        shapes.append(group(x, y, curve(growth[kind], title, width, height)))
    return svg(2 * height + 20, "How time per message grows, beside the floor.", shapes)


def curve(lines, title, width, height):
    left, right, top, bottom = 44, 56, 30, 36
    points = [point for line in lines.values() for point in line]
    across = Scale([x for x, _ in points], left, width - right, base=1)
    up = Scale([us for _, us in points], height - bottom, top)
    shapes = [text(0, 14, title, "title")]
    for us in up.decades():
        y = up(us)
        shapes.append(element("line", x1=left, x2=width - right, y1=y, y2=y, **{"class": "grid"}))
        shapes.append(text(left - 6, y + 4, f"{us:g}" if us < 1000 else f"{us / 1000:g}k", "end quiet"))
    for x in ticks(lines):
        shapes.append(text(across(x), height - bottom + 18, label(x), "middle quiet"))
    ends = spread({name: up(line[-1][1]) for name, line in lines.items()})
    for name, line in lines.items():
        kind = "floor" if name in ("floor", LUA_ALONE) else "ours"
        path = " ".join(f"{across(x)},{up(us)}" for x, us in line)
        shapes.append(element("polyline", points=path, **{"class": f"line {kind}"}))
        shapes.append(text(width - right + 6, ends[name] + 4, name, "" if kind == "ours" else "quiet"))
    return shapes


def ticks(lines):
    """At most seven of the measured points."""
    points = sorted({x for line in lines.values() for x, _ in line})
    return points[:: max(1, len(points) // 6)]


def spread(heights, least=14):
    """Keeps the labels at the ends of lines apart."""
    placed, last = {}, -math.inf
    for name, y in sorted(heights.items(), key=lambda item: item[1]):
        last = max(y, last + least)
        placed[name] = last
    return placed


class Scale:
    """A logarithmic axis over the values given."""

    def __init__(self, values, start, end, base=10):
        self.start, self.end = start, end
        self.low, self.high = math.log10(min(values)), math.log10(max(values))
        if base == 10:
            self.low, self.high = math.floor(self.low), math.ceil(self.high)

    def __call__(self, value):
        part = (math.log10(value) - self.low) / (self.high - self.low)
        return round(self.start + part * (self.end - self.start), 1)

    def decades(self):
        return [10.0**power for power in range(self.low, self.high + 1)]


def svg(height, description, shapes):
    body = "\n".join(shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">\n'
        f"<title>{escape(description)}</title>\n<style>{STYLE}</style>\n{body}\n</svg>\n"
    )


def group(x, y, shapes):
    body = "\n".join(shapes)
    return f'<g transform="translate({x} {y})">\n{body}\n</g>'


def text(x, y, words, kind):
    attribute = f' class="{kind}"' if kind else ""
    return f'<text x="{round(x, 1)}" y="{round(y, 1)}"{attribute}>{escape(str(words))}</text>'


def element(name, **attributes):
    return f"<{name} " + " ".join(f'{key}="{value}"' for key, value in attributes.items()) + "/>"
