// A WebSocket client by Node's `ws`, run by the tests against our server: the scenarios of
// client.py, but for fragments.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import WebSocket from "ws";

const SIZES = [0, 1, 125, 126, 65535, 65536, 1_000_000];
const [url, ...sizes] = process.argv.slice(2);

async function open(path, protocols = []) {
  const socket = new WebSocket(`${url}/${path}`, protocols, { maxPayload: 0 });
  await once(socket, "open");
  return socket;
}

async function closed(socket) {
  const [code, reason] = await once(socket, "close");
  return { code, reason: reason.toString() };
}

// Text and binary, each in a form that deflates well and one that does not.
function contents(size) {
  const noise = randomBytes(size);
  const text = "\u00e9".repeat(size / 2) + "e".repeat(size % 2);
  return [text, Buffer.alloc(size), noise.toString("ascii"), noise];
}

async function echoes(sizes = SIZES) {
  const socket = await open("echo");
  assert.equal(socket.extensions, "permessage-deflate");
  for (const size of sizes) {
    for (const message of contents(size)) {
      const isText = typeof message === "string";
      socket.send(message);
      const [data, binary] = await once(socket, "message");
      assert.equal(binary, !isText, "the type of an echo");
      assert.ok(data.equals(Buffer.from(message)), `the echo of ${size} bytes`);
    }
  }
  socket.close(1000);
  assert.equal((await closed(socket)).code, 1000);
  console.log("echoes");
}

async function subprotocol() {
  const socket = await open("echo", ["unknown", "chat"]);
  assert.equal(socket.protocol, "chat");
  socket.close();
  await closed(socket);
  console.log("subprotocol");
}

async function closeFromClient() {
  const socket = await open("echo");
  socket.close(4001, "over here");
  assert.equal((await closed(socket)).code, 4001);
  console.log("close from the client");
}

async function closeFromServer() {
  const socket = await open("close");
  assert.deepEqual(await closed(socket), { code: 4002, reason: "over there" });
  console.log("close from the server");
}

if (sizes.length > 0) {
  await echoes(sizes.map(Number));
} else {
  for (const scenario of [echoes, subprotocol, closeFromClient, closeFromServer]) {
    await scenario();
  }
}
