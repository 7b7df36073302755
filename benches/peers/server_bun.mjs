// Bun's server with the paths of native/src/bin/load: `server_bun.mjs [deflate | CERTIFICATE KEY]`
// prints its port.
const [first, key] = process.argv.slice(2);
const topic = new Set();

const opened = {
  "/topic": (socket) => {
    topic.add(socket);
    socket.subscribe("topic");
    socket.send("hello");
  },
};
const received = {
  "/echo": (socket, message) => socket.send(message),
  "/publish": (socket, message) => {
    if (typeof message === "string") {
      socket.send(String(Math.max(0, ...Array.from(topic, (it) => it.getBufferedAmount()))));
    } else {
      server.publish("topic", message);
    }
  },
};

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  tls: key && { cert: Bun.file(first), key: Bun.file(key) },
  fetch(request, server) {
    const path = new URL(request.url).pathname;
    return server.upgrade(request, { data: { path } }) ? undefined : new Response("", { status: 400 });
  },
  websocket: {
    perMessageDeflate: first === "deflate",
    open: (socket) => opened[socket.data.path]?.(socket),
    message: (socket, message) => received[socket.data.path](socket, message),
    close: (socket) => topic.delete(socket),
  },
});
console.log(server.port);
