// One conversation with the fake engine, told as JSON: node border.mjs.
import { engineCall, engineCallAsync, liveObjects, openNative } from "../../dist/engine/native.js";

/** @type {{ code: string, message: string, detail: unknown } | undefined} */
let error;
try {
  engineCall("fail", { kind: "coded" });
} catch (thrown) {
  error = /** @type {import("../../dist/errors.js").CellsamError} */ (thrown);
}
const session = await openNative({ kind: "model" });
let steps = 0;
await session.call("train_epoch", { steps: 3, step_ms: 30 }, (event) => {
  steps += /** @type {{ type: string }} */ (event).type === "step" ? 1 : 0;
}).promise;
await session.dispose();
const { sessions, jobs, borrowed } = liveObjects();
const ramp = /** @type {{ array: { data: Float32Array } }} */ (engineCall("ramp", { count: 4 }));
const told = {
  platform: process.platform,
  echo: await engineCallAsync("echo", { text: "ä€𝄞", list: [1.5, true, null] }),
  sum: engineCall("sum", { array: { data: Float32Array.of(1, 2, 3, 4), shape: [2, 2] } }),
  ramp: Array.from(ramp.array.data),
  error: error && { code: error.code, message: error.message, detail: error.detail },
  steps,
  live: { sessions, jobs, borrowed },
};
console.log(JSON.stringify(told));
