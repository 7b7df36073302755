// Node's https with `ws`: node server_tls.mjs PORT CERTIFICATE KEY. Sends every message back. For the
// port 0 it takes a free one, and prints it.
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { WebSocketServer } from "ws";

const [port, certificate, key] = process.argv.slice(2);
const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) });
new WebSocketServer({ server }).on("connection", (socket) => {
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
});
server.listen(Number(port), "127.0.0.1", () => {
  if (port === "0") console.log(server.address().port);
});
