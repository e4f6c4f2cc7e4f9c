// A worker for the tests of pools: what it does is its task.
import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { serveTask } from "../../dist/pool/serve.js";

serveTask(async (/** @type {{ how: string, saved?: string }} */ { how, saved }, { signal, report }) => {
  console.log("Loading modules ..."); // as libraries and launchers do
  report({ cwd: process.cwd(), pid: process.pid, how });
  if (how === "die") process.kill(process.pid, "SIGKILL");
  if (how === "throw") throw new RangeError("no such thing");
  if (how === "wait") {
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    process.stderr.write("saving\n"); // perhaps to nobody
    await sleep(100);
    if (saved) writeFileSync(saved, "");
    throw signal.reason;
  }
  return `${how}: done`;
});
