// A WebSocket server by Node's `ws` that the tests talk to: the paths of server.py without
// /observe and /drop. /close?code=none closes without a code.
import http from "node:http";
import { WebSocketServer } from "ws";

const SUBPROTOCOLS = ["chat", "echo"];

function parse(target) {
  const url = new URL(target, "http://localhost");
  return [url.pathname, Object.fromEntries(url.searchParams)];
}

function echo(socket) {
  socket.on("message", (data, binary) => socket.send(data, { binary }));
}

function headerLines(request) {
  const lines = [];
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
  }
  return lines.join("\n");
}

function flood(socket, { count, size }) {
  for (let number = 1; number <= Number(count); number++) {
    socket.send(Buffer.from(String(number).padStart(10, "0").padEnd(Number(size), ".")));
  }
}

function close(socket, { code = 4002, reason = "over there" }) {
  if (code === "none") socket.close();
  else socket.close(Number(code), reason);
}

function handle(socket, request) {
  const [path, query] = parse(request.url);
  socket.on("error", () => {});
  echo(socket);
  if (path === "/headers") socket.send(headerLines(request));
  if (path === "/close") close(socket, query);
  if (path === "/flood") flood(socket, query);
}

function reject(socket, status) {
  const body = "no entry";
  socket.end(
    `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\nX-Reason: members only\r\n` +
      `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  );
}

function selectSubprotocol(offered, request) {
  if (parse(request.url)[0] === "/no-subprotocol") return false;
  return [...offered].find((name) => SUBPROTOCOLS.includes(name)) ?? false;
}

const webSockets = new WebSocketServer({
  noServer: true,
  perMessageDeflate: true,
  maxPayload: 0,
  handleProtocols: selectSubprotocol,
});
webSockets.on("headers", (lines) => {
  lines.push("X-Peer: node", "Set-Cookie: a=1", "Set-Cookie: b=2");
});
webSockets.on("connection", handle);

const server = http.createServer();
server.on("upgrade", (request, socket, head) => {
  const [path, query] = parse(request.url);
  if (path === "/reject") return reject(socket, Number(query.status));
  webSockets.handleUpgrade(request, socket, head, (webSocket) => {
    webSockets.emit("connection", webSocket, request);
  });
});
server.listen(0, "127.0.0.1", () => console.log(process.pid, server.address().port));
