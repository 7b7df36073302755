// Two pages of the chat example talk, and no others: chat.mjs PORT SCREENSHOT.
import assert from "node:assert/strict";
import { withBrowser } from "./chromium.mjs";
import { assertRefused } from "./strangers.mjs";

const [port, screenshot] = process.argv.slice(2);

async function enter(browser) {
  const page = await browser.newPage({ viewport: { width: 640, height: 400 } });
  await page.goto(`http://127.0.0.1:${port}/`);
  await page.getByText("connected").waitFor();
  return page;
}

async function say(page, text) {
  await page.getByRole("textbox").fill(text);
  await page.getByRole("button").click();
}

await withBrowser(async (browser) => {
  const first = await enter(browser);
  const second = await enter(browser);
  await say(first, "Ada");
  await first.getByText("Ada joined").waitFor();
  await say(second, "Grace");
  await first.getByText("Grace joined").waitFor();
  await say(first, "Hello <b>there</b> \u{1f44b}");
  await second.getByText("Ada: Hello <b>there</b> \u{1f44b}").waitFor();
  await say(second, "Hello yourself");
  await first.getByText("Grace: Hello yourself").waitFor();
  await first.screenshot({ path: screenshot });
  await second.close();
  await first.getByText("Grace left (1001)").waitFor();
  const lines = await first.locator("li").allTextContents();
  assert.deepEqual(lines, [
    "connected: what is your name?",
    "Ada joined",
    "Grace joined",
    "Ada: Hello <b>there</b> \u{1f44b}",
    "Grace: Hello yourself",
    "Grace left (1001)",
  ]);
  console.log("two pages talked");
  await assertRefused(browser, port, "/");
  console.log("strangers were refused");
});
