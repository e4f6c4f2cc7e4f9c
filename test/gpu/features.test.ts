// Kept features of frozen backbones on GPUs: another model of GPU computes other bits, so it must not be given those of the first.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { driverInfo } from "../../lib/engine/native.js";
import type { Device } from "../../lib/engine/session.js";
import { ellipses, plainSgd, smallSession, storeOf, train } from "../unit/training-tiles.js";
import { gpu } from "./gpu.js";

const folder = mkdtempSync(join(tmpdir(), "cellsam-gpu-features-"));
afterAll(() => rmSync(folder, { recursive: true }));

const names = driverInfo()?.devices.map(({ name }) => name) ?? [];

describe.skipIf(!gpu || names.length < 2)("kept features", () => {
  test("serve another GPU only where it is of the same model", async () => {
    const store = await storeOf([ellipses(1, 4)], join(folder, "tiles"));
    const computedOn = async (device: Device) => {
      await using session = await smallSession({ device });
      const kept = { featureCacheDir: join(folder, "kept"), featureCacheGb: 1 };
      await session.beginStage({ stage: 2, epochs: 1, stepsPerEpoch: 1, ...plainSgd, ...kept });
      return (await train(session, store, [0])).features.computed;
    };
    expect(await computedOn("cuda:0")).toBe(1);
    expect(await computedOn("cuda:0")).toBe(0);
    expect(await computedOn("cuda:1")).toBe(names[0] === names[1] ? 0 : 1);
  });
});
