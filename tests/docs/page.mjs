// Two users' browsers on the page of the tutorial: node page.mjs URL
import { withBrowser } from "../browser/chromium.mjs";

const url = process.argv[2];

async function enter(browser, token) {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${url}/?token=${token}`);
  return page;
}

function line(page, text) {
  return page.locator("li", { hasText: new RegExp(`^${text}$`) }).waitFor();
}

await withBrowser(async (browser) => {
  const ada = await enter(browser, "0f6b1c2d9e3a");
  await line(ada, "Ada joined");
  const grace = await enter(browser, "77aa01c5b2e4");
  await line(ada, "Grace joined");
  await ada.getByLabel("Message").fill("Hello");
  await ada.getByRole("button").click();
  await line(ada, "Ada: Hello");
  await line(grace, "Ada: Hello");
});
