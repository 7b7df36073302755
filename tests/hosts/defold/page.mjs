// Runs the stub host's wasm in headless Chromium: page.mjs HOST SCRIPT ARGUMENT.
import { withBrowser } from "../../browser/chromium.mjs";

const [host, ...parameters] = process.argv.slice(2);
const PATIENCE_MS = 60_000;

await withBrowser(async (browser) => {
  const page = await browser.newPage();
  const over = new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error("the host does not finish")), PATIENCE_MS).unref();
    page.on("pageerror", reject);
    page.exposeFunction("print", (line) => {
      console.log(line);
      if (line.startsWith("over, ")) resolve();
    });
  });
  await page.evaluate((parameters) => {
    // One call at a time, for the order of lines.
    let last = Promise.resolve();
    window.Module = {
      arguments: parameters,
      print: (line) => {
        last = last.then(() => window.print(line));
      },
    };
  }, parameters);
  await page.addScriptTag({ path: host });
  await over;
});
