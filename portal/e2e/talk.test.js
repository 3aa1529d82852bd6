// The page at `/` in a real browser: a WAV file is the microphone, the answer is heard and shown.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { KEY, startServer } from "./server.js";

const VOICE = new URL("../public/sample.wav", import.meta.url).pathname;
const AXE = new URL("../node_modules/axe-core/axe.min.js", import.meta.url);
const PATIENT = { timeout: 30_000 };

/** @type {Awaited<ReturnType<typeof startServer>>} */ let server;
/** @type {import("playwright-core").Browser} */ let browser;

before(async () => {
  server = await startServer({
    ANTIPHON_SCRIPTED__TRANSCRIPTS: "what is the weather like today",
    ANTIPHON_SCRIPTED__STT_MS: "40", ANTIPHON_SCRIPTED__FIRST_TOKEN_MS: "60",
  });
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
      "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
      `--use-file-for-fake-audio-capture=${VOICE}%noloop`,
    ],
  });
});

after(async () => {
  await browser?.close();
  assert.equal(await server?.stop(), 0, "the server drains and ends with 0");
});

/** @param {string} fragment @param {import("playwright-core").BrowserContextOptions} [options] */
async function open(fragment, options = {}) {
  const page = await browser.newPage({ permissions: ["microphone"], ...options });
  /** @type {string[]} */
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => { if (message.type() === "error") problems.push(message.text()); });
  await page.goto(`${server.url}/${fragment}`);
  return { page, problems };
}

test("a question through the microphone is transcribed, answered, heard and timed", async () => {
  const { page, problems } = await open(`#key=${KEY}`);
  assert.equal(new URL(page.url()).hash, "", "the key leaves the address bar");
  await page.getByRole("button", { name: "Start talking" }).click();
  await page.locator("#transcript li.user", { hasText: "weather" }).first().waitFor(PATIENT);
  await page.locator("#transcript li.assistant").filter({ hasText: /\w+/ }).first().waitFor(PATIENT);
  const row = page.locator("#waterfall tbody tr").first();
  await row.locator('[data-stage="heard"]').filter({ hasText: /^\d+$/ }).waitFor(PATIENT);
  const ms = await row.locator("[data-stage]").allTextContents();
  assert.equal(ms.length, 5);
  for (const value of ms) assert.match(value, /^\d+$/);
  await page.locator('#log li[data-type="response.done"]').first().waitFor(PATIENT);
  const types = await page.locator("#log li").evaluateAll((entries) => entries.map((e) => e.dataset.type));
  for (const type of ["session.created", "session.update", "input_audio_buffer.append",
    "input_audio_buffer.speech_started", "input_audio_buffer.committed", "response.output_audio.delta"]) {
    assert.ok(types.includes(type), `${type} is in the event log`);
  }
  if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT, fullPage: true });
  await page.getByRole("button", { name: "Stop" }).click();
  assert.equal(await page.locator("#status").textContent(), "Not connected");
  assert.deepEqual(problems, []);
});

test("the sample question needs no microphone", async () => {
  const { page } = await open(`#key=${KEY}`, { permissions: [] });
  await page.getByLabel("Speak with").selectOption("sample");
  await page.getByRole("button", { name: "Start talking" }).click();
  await page.locator("#transcript li.assistant").filter({ hasText: /\w+/ }).first().waitFor(PATIENT);
});

test("a missing or wrong key is told in words", async () => {
  const { page } = await open("");
  await page.getByRole("button", { name: "Start talking" }).click();
  assert.match(await page.locator("#notice").textContent() ?? "", /Enter an API key/);
  await page.getByLabel("API key").fill("ap_wrong");
  await page.getByRole("button", { name: "Start talking" }).click();
  await page.locator("#notice", { hasText: "is the API key right?" }).waitFor(PATIENT);
});

for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
  test(`the page is accessible in the ${colorScheme} theme, wide and at 320 px`, async () => {
    const { page } = await open("", { colorScheme });
    const axe = await readFile(AXE, "utf8");
    for (const width of [1280, 320]) {
      await page.setViewportSize({ width, height: 800 });
      const violations = await page.evaluate(async (source) => {
        // evaluated through the debugger, which the page's content policy does not bind
        (0, eval)(source);
        const found = await /** @type {any} */ (globalThis).axe.run();
        return found.violations.map((/** @type {any} */ v) => `${v.id}: ${v.nodes.map((/** @type {any} */ n) => n.html).join(" ")}`);
      }, axe);
      assert.deepEqual(violations, [], `at ${width} px`);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
      assert.equal(overflow, false, `nothing sticks out at ${width} px`);
    }
  });
}
