// Chromium as a client of our server: client.mjs URL prints a line for each scenario.
import assert from "node:assert/strict";
import { withBrowser } from "./chromium.mjs";
import { assertRefused } from "./strangers.mjs";

const url = process.argv[2];
const home = url.replace(/^ws/, "http");

// In the page: opens a socket, sends the messages, and resolves with what came of it once as
// many have come back, or the socket has closed. Bytes are arrays, text is a string.
async function talk({ url, protocols = [], send = [], close }) {
  const socket = new WebSocket(url, protocols);
  socket.binaryType = "arraybuffer";
  const result = { messages: [] };
  return new Promise((resolve) => {
    const end = () => (close ? socket.close(...close) : resolve(result));
    socket.onopen = () => {
      result.protocol = socket.protocol;
      result.extensions = socket.extensions;
      for (const data of send) socket.send(Array.isArray(data) ? new Uint8Array(data) : data);
      if (send.length === 0 && close) end();
    };
    socket.onmessage = ({ data }) => {
      result.messages.push(typeof data === "string" ? data : [...new Uint8Array(data)]);
      if (result.messages.length === send.length) end();
    };
    socket.onerror = () => (result.failed = true);
    socket.onclose = ({ code, reason, wasClean }) => {
      resolve({ ...result, code, reason, wasClean });
    };
  });
}

// In the page: sends text and binary of each size, in a form that deflates well and one that does
// not, and resolves with the first that came back otherwise, or with the extensions.
async function echoAll({ url, sizes }) {
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  const next = (type) =>
    new Promise((resolve, reject) => {
      socket[`on${type}`] = resolve;
      socket.onclose = ({ code }) => reject(new Error(`closed with ${code}`));
    });
  const random = (size) => {
    const bytes = new Uint8Array(size);
    // As many as one call gives.
    for (let at = 0; at < size; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536));
    return bytes;
  };
  const equal = (sent, got) => {
    if (typeof sent === "string") return sent === got;
    const bytes = new Uint8Array(got);
    return bytes.length === sent.length && bytes.every((byte, index) => byte === sent[index]);
  };
  await next("open");
  for (const size of sizes) {
    const noise = random(size);
    const ascii = new TextDecoder().decode(noise.map((byte) => byte & 127));
    const accents = "\u00e9".repeat(size / 2) + "e".repeat(size % 2);
    const contents = { accents, ascii, zeros: new Uint8Array(size), noise };
    for (const [name, content] of Object.entries(contents)) {
      socket.send(content);
      if (!equal(content, (await next("message")).data)) return `other ${name} of ${size} bytes`;
    }
  }
  socket.onclose = null;
  socket.close();
  return socket.extensions;
}

const scenarios = {
  async text(page) {
    const send = ["hello", "", "\u20ac\u{1f600}", "x".repeat(70000)];
    const { messages } = await page.evaluate(talk, { url: `${url}/echo`, send });
    assert.deepEqual(messages, send);
  },

  async binary(page) {
    const send = [[0, 255, 128], [], Array.from({ length: 70000 }, (_, i) => i % 251)];
    const { messages } = await page.evaluate(talk, { url: `${url}/echo`, send });
    assert.deepEqual(messages, send);
  },

  async compressed(page) {
    const send = ["compress me, ".repeat(20000), "and me, ".repeat(20000)];
    const { messages, extensions } = await page.evaluate(talk, { url: `${url}/echo`, send });
    assert.equal(extensions, "permessage-deflate");
    assert.deepEqual(messages, send);
  },

  async "compressed, of all sizes"(page) {
    const sizes = [0, 1, 125, 126, 65535, 65536, 1_000_000, 10_000_000];
    const result = await page.evaluate(echoAll, { url: `${url}/echo`, sizes });
    assert.equal(result, "permessage-deflate");
  },

  async subprotocols(page) {
    const { protocol } = await page.evaluate(talk, {
      url: `${url}/echo`,
      protocols: ["unknown", "chat"],
      send: ["x"],
    });
    assert.equal(protocol, "chat");
  },

  async "an unconfirmed subprotocol"(page) {
    const result = await page.evaluate(talk, { url: `${url}/echo`, protocols: ["unknown"] });
    assert.ok(result.failed);
    assert.equal(result.code, 1006);
  },

  async "close by the page"(page) {
    const close = [4001, "over here"];
    const result = await page.evaluate(talk, { url: `${url}/echo`, send: ["x"], close });
    assert.deepEqual([result.code, result.wasClean], [4001, true]);
    const plain = await page.evaluate(talk, { url: `${url}/echo`, close: [] });
    assert.deepEqual([plain.code, plain.wasClean], [1005, true]);
  },

  async "close by the server"(page) {
    const result = await page.evaluate(talk, { url: `${url}/close` });
    assert.deepEqual([result.code, result.reason, result.wasClean], [4002, "over there", true]);
  },

  async "a reload in the middle"(page) {
    await page.goto(`${home}/flood.html?${encodeURIComponent(`${url}/flood`)}`);
    for (let load = 0; load < 3; load++) {
      await page.waitForFunction(() => Number(document.title) > 20, null, { polling: 50 });
      await page.reload();
    }
    await page.waitForFunction(() => Number(document.title) > 20, null, { polling: 50 });
    await page.goto("about:blank");
  },

  async "strangers are refused"(page, browser) {
    await assertRefused(browser, new URL(url).port, "/stranger");
  },
};

await withBrowser(async (browser) => {
  const page = await browser.newPage();
  await page.goto(home);
  for (const [name, scenario] of Object.entries(scenarios)) {
    await scenario(page, browser);
    console.log(name);
  }
});
