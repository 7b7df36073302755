// Node with `ws` (found through NODE_PATH), or Bun with its own WebSocket:
// `client.mjs URL MODE COUNT SIZE`.
import { createRequire } from "node:module";

const [url, mode, count, size] = process.argv.slice(2).map((it, i) => (i < 2 ? it : Number(it)));
const isBun = process.versions.bun !== undefined;
const path = { receive: `/blast/${count}/${size}`, send: "/sink", echo: "/echo" }[mode];
const Client = isBun ? WebSocket : createRequire(import.meta.url)("ws");
const socket = isBun ? new Client(url + path) : new Client(url + path, { perMessageDeflate: false });
socket.binaryType = "nodebuffer";

const message = Buffer.alloc(size);
const laps = [];
let begin, sent, received = 0;
const now = () => performance.now() * 1000;
const send = () => {
  sent = now();
  socket.send(message);
};

socket.onopen = () => {
  begin = now();
  if (mode === "receive") socket.send("go");
  else if (mode === "echo") send();
  else {
    for (let i = 0; i < count; i++) socket.send(message);
    socket.send("stat");
  }
};
socket.onerror = (event) => {
  console.error(event.message);
  process.exit(1);
};
const onMessage = {
  receive: () => ++received === count && finish(),
  send: (event) => {
    if (Number(event.data) !== count) throw new Error("the peer lost messages");
    finish();
  },
  echo: () => {
    laps.push(now() - sent);
    if (laps.length < count) send();
    else finish();
  },
};
socket.onmessage = onMessage[mode];

function finish() {
  const us = (now() - begin) / count;
  laps.sort((a, b) => a - b);
  const quantile = (part) => laps[Math.floor(laps.length * part)] ?? us;
  console.log(JSON.stringify({ us, p50: quantile(0.5), p99: quantile(0.99) }));
  process.exit(0);
}
