// A headless Chromium, and pages in it.
import { chromium } from "playwright-core";
import { RESOLVER } from "./strangers.mjs";

export async function withBrowser(work) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--no-proxy-server",
      "--disable-gpu",
      `--host-resolver-rules=${RESOLVER}`,
    ],
  });
  try {
    await work(browser);
  } finally {
    await browser.close();
  }
}
