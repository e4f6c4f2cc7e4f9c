// The exit code of a process that gets a second signal, before and after everything is saved.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { expect, it } from "vitest";

const stop = new URL("../../dist/cli/stop.js", import.meta.url);

it.skipIf(process.platform === "win32").each([
  [true, 75],
  [false, 143],
])("saved: %s ends with %i", async (isSaved, code) => {
  const script = `
    import { stoppable } from ${JSON.stringify(stop)};
    await stoppable((signal, saved) => new Promise(() => {
      setInterval(() => {}, 1000);
      signal.addEventListener("abort", () => { ${isSaved ? "saved();" : ""} console.log("stopping"); });
      console.log("working");
    }));`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "ignore"] });
  const lines = createInterface({ input: child.stdout });
  const ended = once(child, "exit");
  for await (const line of lines) {
    expect(["working", "stopping"]).toContain(line);
    child.kill("SIGTERM");
  }
  expect((await ended)[0]).toBe(code);
});
