// A worker for the tests of pools: what it does is its task.
import { serveTask } from "../../dist/pool/serve.js";

serveTask(async (/** @type {{ how: string }} */ { how }, { signal, report }) => {
  console.log("Loading modules ..."); // as libraries and launchers do
  report({ cwd: process.cwd(), pid: process.pid, how });
  if (how === "die") process.kill(process.pid, "SIGKILL");
  if (how === "throw") throw new RangeError("no such thing");
  if (how === "wait") {
    await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  }
  return `${how}: done`;
});
