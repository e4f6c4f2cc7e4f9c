// A process for lock.test.ts: tries to take the lock argv[2] when it gets a message, and holds it until the next one.
import { takeLock } from "../../dist/train/lock.js";

const path = /** @type {string} */ (process.argv[2]);
/** @type {(() => Promise<void>) | undefined} */
let unlock;
process.on("message", async (order) => {
  if (order === "take") {
    unlock = await takeLock(path, () => new Error("busy")).catch(() => undefined);
    process.send?.(unlock ? "held" : "busy");
  } else {
    await unlock?.();
    process.exit(0);
  }
});
process.send?.("ready");
