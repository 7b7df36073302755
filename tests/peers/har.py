"""Reads a HAR as a viewer does, by haralyzer, and tells what is in it, a line each."""

import base64
import json
import sys

from haralyzer import HarParser

with open(sys.argv[1], encoding="utf-8") as file:
    raw = json.load(file)
parser = HarParser(raw)
print("version", parser.version, "creator", parser.creator["name"])
for entry in (raw["log"]["entries"] and parser.har_data["entries"]):
    timings = entry["timings"]
    spent = sum(timings[name] for name in ("dns", "connect", "wait") if timings[name] >= 0)
    assert abs(spent - entry["time"]) < 0.01, (timings, entry["time"])
    assert timings["ssl"] <= timings["connect"], timings
    print("url", entry["request"]["url"], entry["response"]["status"], entry["startedDateTime"][:3])
    for name in ("dns", "connect", "ssl", "wait"):
        print("timing", name, timings[name] >= 0)
    for message in entry["_webSocketMessages"]:
        data = message["data"]
        if message["opcode"] == 2:
            data = base64.b64decode(data, validate=True).hex()
        print(message["type"], message["opcode"], message.get("_length", "whole"), ascii(data))
    print("close", json.dumps(entry.get("_close")), entry.get("comment"))
