// The page `chat.html` in two tabs of a real browser: they write to each other, see each other type, read, leave and come back.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { KEY, startServer } from "./server.js";

const AXE = new URL("../node_modules/axe-core/axe.min.js", import.meta.url);
const PATIENT = { timeout: 30_000 };

/** @type {Awaited<ReturnType<typeof startServer>>} */ let server;
/** @type {import("playwright-core").Browser} */ let browser;

before(async () => {
  server = await startServer();
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
});

after(async () => {
  await browser?.close();
  assert.equal(await server?.stop(), 0, "the server drains and ends with 0");
});

/** @param {string} name @param {"customer" | "helper"} as @param {string} chat */
async function tab(name, as, chat) {
  const page = await browser.newPage();
  // a socket that can be cut, and a network that can be away
  await page.addInitScript(() => {
    const tested = /** @type {any} */ (globalThis);
    const Native = globalThis.WebSocket;
    tested.sockets = [];
    globalThis.WebSocket = class extends Native {
      /** @param {string | URL} address */
      constructor(address) {
        super(tested.offline ? "ws://127.0.0.1:1/" : address);
        tested.sockets.push(this);
      }
    };
  });
  /** @type {string[]} */
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => { if (message.type() === "error") problems.push(message.text()); });
  await page.goto(`${server.url}/chat.html#key=${KEY}&chat=${chat}`);
  assert.equal(new URL(page.url()).hash, "", "the key leaves the address bar");
  await page.getByLabel("Your name").fill(name);
  await page.getByLabel("You are").selectOption(as);
  await page.getByRole("button", { name: "Come in" }).click();
  await page.locator("#status", { hasText: `In ${chat}` }).waitFor(PATIENT);
  return { page, problems };
}

test("two tabs write to each other, once each, and see what the other does", async () => {
  const ann = await tab("Ann", "customer", "two-tabs");
  const bob = await tab("Bob", "helper", "two-tabs");
  await ann.page.getByLabel("Message", { exact: true }).fill("Can you help me?");
  await bob.page.locator("#typing", { hasText: "is typing" }).waitFor(PATIENT);
  await ann.page.getByRole("button", { name: "Send" }).click();
  await bob.page.locator("#messages li", { hasText: "Can you help me?" }).waitFor(PATIENT);
  assert.equal(await bob.page.locator("#typing").textContent(), "");
  await ann.page.locator("#messages li.own", { hasText: "read" }).waitFor(PATIENT);
  await bob.page.getByRole("button", { name: "Say that I am here to help" }).click();
  await ann.page.locator("#messages li", { hasText: "Bob has joined." }).waitFor(PATIENT);
  for (const words of ["One", "Two", "Three"]) {
    await bob.page.getByLabel("Message", { exact: true }).fill(words);
    await bob.page.getByLabel("Message", { exact: true }).press("Enter");
  }
  await ann.page.locator("#messages li", { hasText: "Three" }).waitFor(PATIENT);
  for (const { page } of [ann, bob]) {
    const words = await page.locator("#messages li .words").allTextContents();
    assert.deepEqual(words, ["Can you help me?", "One", "Two", "Three"]);
  }
  await ann.page.locator("#people", { hasText: "Bob" }).waitFor(PATIENT);
  // words of one's own can be changed
  bob.page.once("dialog", (dialog) => void dialog.accept("Four"));
  await bob.page.locator("#messages li", { hasText: "Three" }).getByRole("button", { name: "Change" }).click();
  await ann.page.locator("#messages li", { hasText: "Four" }).waitFor(PATIENT);
  if (process.env.CHAT_SCREENSHOT) await ann.page.screenshot({ path: process.env.CHAT_SCREENSHOT });
  // who comes later sees what was said
  const eve = await tab("Eve", "helper", "two-tabs");
  await eve.page.locator("#messages li", { hasText: "Four" }).waitFor(PATIENT);
  assert.equal(await eve.page.locator("#messages li .words").count(), 4);
  for (const { problems } of [ann, bob, eve]) assert.deepEqual(problems, []);
});

test("a tab that was offline misses nothing and says nothing twice", async () => {
  const ann = await tab("Ann", "customer", "offline");
  const bob = await tab("Bob", "helper", "offline");
  const say = async (/** @type {import("playwright-core").Page} */ page, /** @type {string} */ words) => {
    await page.getByLabel("Message", { exact: true }).fill(words);
    await page.getByRole("button", { name: "Send" }).click();
  };
  await say(bob.page, "before");
  await ann.page.locator("#messages li", { hasText: "before" }).waitFor(PATIENT);
  // the connection goes, as when a laptop is closed, and for a while there is no other
  await ann.page.evaluate(() => {
    const tested = /** @type {any} */ (globalThis);
    tested.offline = true;
    tested.sockets.at(-1).close();
  });
  await ann.page.locator("#status", { hasText: "Connecting" }).waitFor(PATIENT);
  await say(bob.page, "while you were away");
  await bob.page.locator("#messages li.own", { hasText: "sent" }).last().waitFor(PATIENT);
  await say(ann.page, "said offline");
  await ann.page.evaluate(() => { /** @type {any} */ (globalThis).offline = false; });
  await ann.page.locator("#messages li", { hasText: "while you were away" }).waitFor(PATIENT);
  await say(ann.page, "back again");
  await bob.page.locator("#messages li", { hasText: "back again" }).waitFor(PATIENT);
  const words = await bob.page.locator("#messages li .words").allTextContents();
  assert.deepEqual(words, ["before", "while you were away", "said offline", "back again"]);
});

test("a page with a token in its address comes in by itself, and a bad one is told in words", async () => {
  const answer = await fetch(`${server.url}/v1/rooms/embedded/tokens`, {
    method: "POST", headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
    body: JSON.stringify({ name: "Shop" }),
  });
  const { token } = await answer.json();
  const page = await browser.newPage();
  await page.goto(`${server.url}/chat.html#token=${token}`);
  await page.locator("#status", { hasText: "In embedded" }).waitFor(PATIENT);
  assert.equal(new URL(page.url()).hash, "");
  const other = await browser.newPage();
  await other.goto(`${server.url}/chat.html#token=${token.slice(0, -3)}`);
  await other.locator("#notice", { hasText: "Invalid token" }).waitFor(PATIENT);
});

for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
  test(`the chat page is accessible in the ${colorScheme} theme, wide and at 320 px`, async () => {
    const { page } = await tab("Ann", "helper", `axe-${colorScheme}`);
    await page.emulateMedia({ colorScheme });
    await page.getByLabel("Message", { exact: true }).fill("hello");
    await page.getByRole("button", { name: "Send" }).click();
    await page.locator("#messages li.own", { hasText: "sent" }).waitFor(PATIENT);
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
