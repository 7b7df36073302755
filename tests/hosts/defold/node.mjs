// Runs the stub host's wasm in node, with the WebSocket of `ws`: node.mjs HOST SCRIPT ARGUMENT.
import { createRequire } from "node:module";
import { resolve } from "node:path";
import WebSocket from "ws";

// In a browser an `error` that nobody listens to is lost; node ends the process.
globalThis.WebSocket = class extends WebSocket {
  constructor(...parameters) {
    super(...parameters);
    this.on("error", () => {});
  }
};

// The library would keep node for half a minute where a peer never answers Close.
const { log } = console;
console.log = (line) => {
  log(line);
  if (String(line).startsWith("over, ")) process.exit();
};

// emscripten takes what stands behind the program.
process.argv.splice(1, 1);
createRequire(import.meta.url)(resolve(process.argv[1]));
