// Events on their whole way, from the engine through the binding to the files of a run and to its reader, while the event loop is blocked.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ExperimentConfig } from "../../lib/config/experiment.js";
import { engineCall } from "../../lib/engine/native.js";
import { openSession } from "../../lib/engine/session.js";
import { EventChannel } from "../../lib/events.js";
import { OutputTree } from "../../lib/train/outputTree.js";
import { RunRecord } from "../../lib/train/runRecord.js";
import { fakeEngine } from "../stress/engine.js";

const folder = mkdtempSync(join(tmpdir(), "cellsam-events-"));
afterAll(() => rmSync(folder, { recursive: true }));
beforeAll(() => {
  process.env.CELLSAM_ENGINE = fakeEngine();
});

/** One epoch of so many steps, all made before the event loop turns again: the steps in the log, and those that the reader gets. */
async function blockedRun(name: string, steps: number, settings: object = {}) {
  const channel = new EventChannel();
  const config = new ExperimentConfig({ imgPath: "i", maskPath: "m", outputName: name, tensorboard: false, ...settings });
  const record = new RunRecord(config, new OutputTree(folder, name), (event) => channel.push(event));
  record.open();
  await using session = await openSession({ size: "tiny" });
  const epoch = { store: "s", indices: Int32Array.of(1), epoch: 1, batchSize: 1, augment: false, steps, stepMs: 0 };
  engineCall("reset_steps");
  const running = session.trainEpoch({ ...epoch, onStep: record.emit, onNotice: record.emit });
  engineCall("await_steps", { steps });
  await running;
  channel.end();
  const read: unknown[] = [];
  for await (const event of channel) read.push(event.type === "step" ? event.step : event.type);
  const lines = readFileSync(join(folder, name, "logs", "events.jsonl"), "utf8")
    .trimEnd()
    .split("\n");
  const logged = lines.map((line) => JSON.parse(line)).map(({ type, step }) => (type === "step" ? step : type));
  return { logged, read };
}

const counted = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

test("the log gets every event, a reader that comes late the newest steps and every other event", async () => {
  const { logged, read } = await blockedRun("all", 1000);
  expect(logged).toEqual([...counted(1, 500), "notice", ...counted(501, 1000)]);
  expect(read).toEqual([500, "notice", 1000]);
});

test("eventFreq thins out the steps of the log, and logFreq does not", async () => {
  const { logged } = await blockedRun("thinned", 10, { eventFreq: 4, logFreq: 3 });
  expect(logged).toEqual([4, "notice", 8, 10]);
});
