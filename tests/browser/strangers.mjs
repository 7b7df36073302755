// Pages that a server on this machine must not let in, whatever its user opens.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";

// Names that lead to this machine, as one does whose owner has it resolve to 127.0.0.1.
export const RESOLVER = "MAP rebound.example 127.0.0.1, MAP elsewhere.example 127.0.0.1";

// Opens a socket where `target` runs, and returns what came of it: "open", or the server's status.
async function knock(page, target, url) {
  const heard = page.waitForEvent("console", (message) => message.text().includes("WebSocket"));
  heard.catch(() => {}); // nothing is said of one that opened
  const code = await target.evaluate(
    (url) =>
      new Promise((resolve) => {
        const socket = new WebSocket(url);
        socket.onopen = () => resolve("open");
        socket.onclose = ({ code }) => resolve(code);
      }),
    url,
  );
  if (code === "open") return code;
  assert.equal(code, 1006);
  return Number((await heard).text().match(/Unexpected response code: (\d+)/)?.[1]);
}

// Asserts that the server on `port` answers 403 to pages of other origins, of none, and of a name
// that is not the server's.
export async function assertRefused(browser, port, path) {
  const own = `127.0.0.1:${port}`;
  const other = createServer((_, response) => response.end("<title>elsewhere</title>"));
  other.listen(0, "127.0.0.1");
  await once(other, "listening");
  const page = await browser.newPage();
  const outcomes = {};
  try {
    for (const name of ["elsewhere.example", "127.0.0.1"]) {
      await page.goto(`http://${name}:${other.address().port}/`);
      outcomes[name] = await knock(page, page, `ws://${own}${path}`);
    }
    const frames = { sandbox: 'sandbox="allow-scripts" srcdoc="a"', data: 'src="data:text/html,a"' };
    for (const [name, attributes] of Object.entries(frames)) {
      await page.setContent(`<iframe ${attributes}></iframe>`);
      const frame = await (await page.$("iframe")).contentFrame();
      outcomes[name] = await knock(page, frame, `ws://${own}${path}`);
    }
    const answer = await page.goto(`http://rebound.example:${port}/`);
    outcomes["rebound page"] = answer.status();
    outcomes.rebound = await knock(page, page, `ws://rebound.example:${port}${path}`);
  } finally {
    await page.close();
    other.close();
    other.closeAllConnections();
  }
  assert.deepEqual(outcomes, {
    "elsewhere.example": 403,
    "127.0.0.1": 403,
    sandbox: 403,
    data: 403,
    "rebound page": 403,
    rebound: 403,
  });
}
