// A survey taken in a real browser, by its own WebSocket, a line typed for a line read: what the protocol's console snippet does.
// With SURVEY_SCREENSHOT the finished survey is the picture of docs/protocols/survey.md.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { KEY, startServer } from "./server.js";

const QUESTIONS = [
  { text: "Should agents say that they are agents?", kind: "yes_no" },
  { text: "How do you like to be asked?", kind: "choice", options: ["by text", "by voice", "not at all"] },
  { text: "How many surveys a week are too many?", kind: "number", min: 0, max: 100, whole: true },
  { text: "What should we have asked?", kind: "text" },
];
const EMAIL = "agent@example.com";

/** @type {Awaited<ReturnType<typeof startServer>>} */ let server;
/** @type {import("playwright-core").Browser} */ let browser;

before(async () => {
  server = await startServer({ ANTIPHON_MAIL__PRINT_CODES: "true" });
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

test("a survey is taken from a browser's console", async () => {
  const made = await fetch(`${server.url}/v1/surveys`, {
    method: "POST", headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
    body: JSON.stringify({ id: "poll", name: "Poll", questions: QUESTIONS, active: true }),
  });
  assert.equal(made.status, 201);
  const asked = await fetch(`${server.url}/survey/request-code`, { method: "POST", body: JSON.stringify({ email: EMAIL }) });
  assert.equal(asked.status, 200);
  const code = await server.logged(/Code for agent@example\.com: (\d{6})/);
  const tab = await browser.newPage({ viewport: { width: 900, height: 600 } });
  await tab.goto(`${server.url}/survey/health`);
  const address = `${server.url.replace("http", "ws")}/survey/ws`;
  const taken = await tab.evaluate(async ([address, ...typed]) => {
    document.body.replaceChildren();
    document.documentElement.style.cssText = "background: #0d1017; color: #d6dce5; font: 15px/1.3 monospace; white-space: pre-wrap";
    document.body.style.margin = "20px";
    const show = (/** @type {string} */ text, colour = "inherit") => {
      const line = document.body.appendChild(document.createElement("div"));
      line.textContent = text || " ";
      line.style.color = colour;
    };
    show(`> socket = new WebSocket("${address}")`, "#7ee787");
    const socket = new WebSocket(address);
    /** @type {string[]} */ const replies = [];
    /** @type {(code: number) => void} */ let over = () => {};
    const closed = new Promise((resolve) => { over = resolve; });
    await new Promise((resolve) => {
      socket.onmessage = ({ data }) => {
        replies.push(data);
        show(data);
        const next = typed.shift();
        if (next === undefined) return resolve(undefined);
        show(`> socket.send("${next}")`, "#7ee787");
        socket.send(next);
      };
    });
    socket.onclose = ({ code }) => over(code);
    const height = document.body.scrollHeight;
    return { replies, height, quit: (socket.send("quit"), await closed) };
  }, [address, EMAIL, code, "y", "2", "three", "3", "Whether four questions are three too many."]);
  // one reply for each line, the welcome first and the goodbye last
  assert.equal(taken.replies.length, 1 + 7 + 1);
  assert.match(taken.replies[5], /a whole number from 0 to 100/);
  assert.match(taken.replies[7], /Q3: How many surveys a week are too many\?\n    Your answer: 3/);
  assert.equal(taken.quit, 1000);
  if (process.env.SURVEY_SCREENSHOT) await tab.screenshot({ path: process.env.SURVEY_SCREENSHOT, fullPage: true });
  await tab.close();
});
