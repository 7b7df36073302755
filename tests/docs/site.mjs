// node site.mjs FOLDER: the site in Chromium, without a network: every page fits into a wide and a
// narrow window, in light and in dark, loads nothing that is not there, and the search finds what a
// page says.
import { readdirSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { withBrowser } from "../browser/chromium.mjs";

const folder = resolve(process.argv[2]);
const pages = readdirSync(folder, { recursive: true }).filter(
  (name) => name.endsWith(".html") && !/(^|\/)(404|toc)\.html$/.test(name),
);
let passed = 0;
let failed = 0;

function check(name, problem) {
  if (problem) console.log(`${name}: ${problem}`);
  problem ? failed++ : passed++;
}

async function visit(page, name) {
  const missing = [];
  const note = (what) => {
    const why = what.failure?.().errorText;
    // Chromium gives up what the page before has not loaded yet: its icon, on a busy machine.
    if (why !== "net::ERR_ABORTED") missing.push(why ? `${what.url()} ${why}` : String(what));
  };
  page.on("requestfailed", note).on("pageerror", note);
  await page.goto(pathToFileURL(`${folder}/${name}`).href);
  page.off("requestfailed", note).off("pageerror", note);
  return missing.join(", ");
}

await withBrowser(async (browser) => {
  for (const [width, colorScheme] of [[1280, "light"], [1280, "dark"], [400, "light"], [400, "dark"]]) {
    const viewport = { width, height: 900 };
    const context = await browser.newContext({ viewport, colorScheme, offline: true });
    const page = await context.newPage();
    for (const name of pages) {
      const missing = await visit(page, name);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
      const theme = await page.evaluate(() => document.documentElement.className);
      const other = !theme.split(" ").includes(colorScheme === "dark" ? "navy" : "light");
      const problem = missing || (wide && "scrolls sideways") || (other && `shows ${theme}`);
      check(`${name}, ${width} pixels, ${colorScheme}`, problem);
    }
    await context.close();
  }
  const page = await browser.newPage();
  await visit(page, "index.html");
  await page.keyboard.press("s");
  await page.locator("#mdbook-searchbar").waitFor();
  await page.keyboard.type("jitter");
  const results = page.locator("#mdbook-searchresults a");
  await results.first().waitFor();
  const found = await results.evaluateAll((links) => links.map((link) => link.href));
  const wanted = found.some((address) => address.includes("guides/reconnecting.html"));
  check("the search for jitter", wanted ? "" : `finds ${found}`);
});
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
