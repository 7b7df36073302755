// What `make screenshots` does: the pictures of the site, in docs/src/pictures, of the examples as they
// run. On the same fonts they come out the same.
import { spawn } from "node:child_process";
import { withBrowser } from "../tests/browser/chromium.mjs";

const PICTURES = "docs/src/pictures";
const PATIENCE_MS = 60_000;

// LÖVE and Neovim load the 5.1 build, and so does LuaJIT. LÖVE draws without a screen.
const environment = {
  ...process.env,
  LUA_CPATH: `${process.cwd()}/build/lua5.1/?.so;;`,
  SDL_VIDEODRIVER: "offscreen",
  LIBGL_ALWAYS_SOFTWARE: "1",
};

function start(command, ...args) {
  const child = spawn(command, args, { env: environment, timeout: PATIENCE_MS });
  child.said = "";
  const ended = new Promise((resolve, reject) => {
    child.on("error", reject).on("close", resolve);
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (bytes) => (child.said += bytes));
  }
  return { child, ended };
}

// Runs a server while `work(address)` goes on.
async function withServer(work, ...command) {
  const { child, ended } = start(...command);
  const address = new Promise((resolve, reject) => {
    const look = () => {
      const found = child.said.match(/listening at (\S+)/);
      if (found) resolve(found[1]);
    };
    child.stdout.on("data", look);
    child.stderr.on("data", look);
    ended.then(() => reject(new Error(`${command.join(" ")} has ended: ${child.said}`)), reject);
  });
  try {
    await work(await address);
  } finally {
    child.kill();
    await ended;
  }
}

async function open(browser, address, viewport) {
  const page = await browser.newPage({ viewport });
  await page.goto(address);
  return page;
}

async function say(page, text) {
  await page.getByRole("textbox").fill(text);
  await page.getByRole("button").click();
}

async function chat(browser, address) {
  const ada = await open(browser, address, { width: 480, height: 320 });
  await say(ada, "Ada");
  await ada.getByText("Ada joined").waitFor();
  const grace = await open(browser, address);
  await say(grace, "Grace");
  await ada.getByText("Grace joined").waitFor();
  await say(ada, "Is anybody at the door?");
  await grace.getByText("Ada: Is").waitFor();
  await say(grace, "I am, with cake.");
  await ada.getByText("Grace: I am").waitFor();
  await ada.screenshot({ path: `${PICTURES}/chat.png` });
}

async function preview(browser, address) {
  const page = await open(browser, address, { width: 480, height: 320 });
  await page.frameLocator("iframe").getByText("flour").waitFor();
  await page.screenshot({ path: `${PICTURES}/preview.png` });
}

async function game(address) {
  const { child, ended } = start("love", "docs/pictures", address, `${PICTURES}/game.png`);
  const status = await ended;
  if (status !== 0) throw new Error(`love has ended with ${status}: ${child.said}`);
}

await withBrowser(async (browser) => {
  await withServer((address) => chat(browser, address), "luajit", "examples/chat/server.lua", "0");
  const editor = ["nvim", "--clean", "--headless", "-c", "luafile examples/nvim/preview.lua"];
  await withServer((address) => preview(browser, address), ...editor, "-c", "Preview", "docs/pictures/list.html");
});
await withServer(game, "luajit", "examples/relay.lua", "0");
console.log(PICTURES);
