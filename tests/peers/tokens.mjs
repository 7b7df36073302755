// Node's `ws` at the door of our server: as tokens.py.
import { once } from "node:events";
import { text } from "node:stream/consumers";
import WebSocket from "ws";

const url = process.argv[2];

async function refused(response) {
  const challenge = response.headers["www-authenticate"] ?? "-";
  return `${response.statusCode} ${challenge} ${(await text(response)).trim()}`;
}

async function knock(address, token, options = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const socket = new WebSocket(address, { headers, ...options });
  const refusal = once(socket, "unexpected-response").then(([, response]) => refused(response));
  const welcome = once(socket, "message").then(([data]) => data.toString());
  refusal.catch(() => {}); // the other one tells
  welcome.catch(() => {});
  const outcome = await Promise.race([welcome, refusal]);
  socket.on("error", () => {}); // of one that is not open yet
  socket.close();
  return outcome;
}

console.log(await knock(url, "secret"));
console.log(await knock(`${url}/?token=sec%72et`));
console.log(await knock(url, "guess"));
console.log(await knock(url));
console.log(await knock(url, "secret", { origin: "https://elsewhere.example" }));
