// A session on the second GPU leaves the first one alone: not even a context is opened there, which would take half a gigabyte
// from whoever works on it.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { countWork } from "./count.mjs";
import { fiveTiles, image } from "./data.js";
import { hasPretendDevice } from "./pretend.mjs";

const folder = mkdtempSync(join(tmpdir(), "cellsam-devices-"));
let store: string;
beforeAll(async () => {
  store = await fiveTiles(folder);
});
afterAll(() => rmSync(folder, { recursive: true }));

describe.skipIf(!hasPretendDevice)("a session on cuda:1", () => {
  test.each([
    ["stage 1", () => ({ store, stage: 1 })],
    ["stage 1 with threads that match", () => ({ store, stage: 1, threads: 2 })],
    ["stage 2", () => ({ store, stage: 2 })],
    ["stage 2 with graphs", () => ({ store, stage: 2, options: { cudaGraphs: "on" } })],
    ["stage 2 on kept features", () => ({ store, stage: 2, options: { featureCacheDir: join(folder, "features") } })],
    ["prediction", () => ({ image })],
  ])("%s: opens no context on cuda:0", async (_, work) => {
    const { report, hazards } = await countWork({ ...work(), device: "cuda:1" });
    expect(hazards).toEqual([]);
    expect(report.devices.map(({ context }) => context !== null)).toEqual([false, true]);
  });
});
