"""picows: `picows_client.py URL MODE COUNT SIZE`."""

import asyncio
import json
import sys
import time

from picows import WSListener, WSMsgType, ws_connect

url, mode = sys.argv[1:3]
count, size = map(int, sys.argv[3:5])
path = {"receive": f"/blast/{count}/{size}", "send": "/sink", "echo": "/echo"}[mode]
message = bytes(size)


class Client(WSListener):
    def on_ws_connected(self, transport):
        self.laps = []
        self.received = 0
        self.begin = time.perf_counter()
        if mode == "receive":
            transport.send(WSMsgType.TEXT, b"go")
        elif mode == "echo":
            self.send(transport)
        else:
            for _ in range(count):
                transport.send(WSMsgType.BINARY, message)
            transport.send(WSMsgType.TEXT, b"stat")

    def send(self, transport):
        self.sent = time.perf_counter()
        transport.send(WSMsgType.BINARY, message)

    def on_ws_frame(self, transport, frame):
        payload = frame.get_payload_as_bytes()
        if mode == "receive":
            self.received += 1
            if self.received == count:
                self.finish(transport)
        elif mode == "echo":
            self.laps.append(time.perf_counter() - self.sent)
            if len(self.laps) < count:
                self.send(transport)
            else:
                self.finish(transport)
        else:
            assert int(payload) == count, "the peer lost messages"
            self.finish(transport)

    def finish(self, transport):
        each = (time.perf_counter() - self.begin) / count
        laps = sorted(self.laps) or [each]
        report = {
            "us": each * 1e6,
            "p50": laps[len(laps) // 2] * 1e6,
            "p99": laps[int(len(laps) * 0.99)] * 1e6,
        }
        print(json.dumps(report))
        transport.disconnect()


async def main():
    transport, _ = await ws_connect(Client, url + path)
    await transport.wait_disconnected()


asyncio.run(main())
