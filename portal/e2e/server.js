// Starts the server binary for a test and stops it again.
// ANTIPHON_BIN names the binary; everything else is made fresh.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const KEY = "ap_browser_test_key_0123456789";

/** A port that was free a moment ago. */
function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = /** @type {import("node:net").AddressInfo} */ (probe.address());
      probe.close(() => resolve(port));
    });
  });
}

/**
 * @param {Record<string, string>} [settings] further environment
 * @returns {Promise<{ url: string, logged: (pattern: RegExp) => Promise<string>, stop: () => Promise<number | null> }>}
 */
export async function startServer(settings = {}) {
  const binary = process.env.ANTIPHON_BIN;
  if (!binary) throw new Error("ANTIPHON_BIN must name the server binary; portal/test.sh sets it");
  const data = await mkdtemp(join(tmpdir(), "antiphon-portal-"));
  const port = await freePort();
  const server = spawn(binary, ["serve"], {
    stdio: ["ignore", "ignore", "pipe"],
    env: {
      PATH: process.env.PATH, HOME: process.env.HOME,
      ANTIPHON_LISTEN: `127.0.0.1:${port}`, ANTIPHON_DATA_DIR: data, ANTIPHON_PIPELINE: "scripted",
      ANTIPHON_BOOTSTRAP_API_KEY: KEY, LOG_LEVEL: "warn", ...settings,
    },
  });
  let log = "";
  server.stderr.setEncoding("utf8").on("data", (text) => { log += text; process.stderr.write(text); });
  const ended = new Promise((resolve) => server.once("exit", (code) => resolve(code)));
  const url = `http://127.0.0.1:${port}`;
  for (let tries = 0; ; tries++) {
    const ready = await fetch(`${url}/ready`).then((answer) => answer.ok, () => false);
    if (ready) break;
    if (server.exitCode !== null || tries > 300) throw new Error("the server did not become ready");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return {
    url,
    /** The first group of a pattern, as soon as the log has it. */
    async logged(pattern) {
      for (let tries = 0; tries < 300; tries++) {
        const found = pattern.exec(log);
        if (found) return found[1];
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      throw new Error(`the server has not logged ${pattern}`);
    },
    async stop() {
      server.kill("SIGTERM");
      const code = await ended;
      await rm(data, { recursive: true, force: true });
      return code;
    },
  };
}
