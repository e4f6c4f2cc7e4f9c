// One conversation with the fake engine, told as JSON: node border.mjs, in a folder with dist/ and build/Release/.
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const { engineCall, engineCallAsync, liveObjects, openNative } = await import(
  pathToFileURL(join(process.cwd(), "dist", "native.js")).href
);
const told = { platform: process.platform };
told.echo = await engineCallAsync("echo", { text: "ä€𝄞", list: [1.5, true, null] });
told.sum = engineCall("sum", { array: { data: Float32Array.of(1, 2, 3, 4), shape: [2, 2] } });
told.ramp = Array.from(engineCall("ramp", { count: 4 }).array.data);
try {
  engineCall("fail", { kind: "coded" });
} catch ({ code, message, detail }) {
  told.error = { code, message, detail };
}
const session = await openNative({ kind: "model" });
let steps = 0;
await session.call("train_epoch", { steps: 3, step_ms: 30 }, (event) => {
  steps += event.type === "step" ? 1 : 0;
}).promise;
told.steps = steps;
await session.dispose();
const { sessions, jobs, borrowed } = liveObjects();
told.live = { sessions, jobs, borrowed };
console.log(JSON.stringify(told));
