// `ws` on Node with the paths of native/src/bin/load: `server_ws.mjs [deflate | CERTIFICATE KEY]`
// prints its port. `ws` is found through NODE_PATH.
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { createRequire } from "node:module";

const { WebSocketServer } = createRequire(import.meta.url)("ws");
const [first, key] = process.argv.slice(2);
const topic = new Set();

const opened = {
  "/echo": (socket) => socket.on("message", (data, binary) => socket.send(data, { binary })),
  "/topic": (socket) => {
    topic.add(socket);
    socket.on("close", () => topic.delete(socket));
    socket.send("hello");
  },
  "/publish": (socket) =>
    socket.on("message", (data, binary) => {
      if (binary) {
        for (const client of topic) client.send(data, { binary: true });
      } else {
        socket.send(String(Math.max(0, ...Array.from(topic, (it) => it.bufferedAmount))));
      }
    }),
};

const listener = key
  ? https.createServer({ cert: readFileSync(first), key: readFileSync(key) })
  : http.createServer();
const server = new WebSocketServer({ server: listener, perMessageDeflate: first === "deflate" });
server.on("connection", (socket, request) => {
  socket.on("error", () => {});
  opened[request.url](socket);
});
listener.listen(0, "127.0.0.1", () => console.log(listener.address().port));
