/** The settings that configuration and engine share: what one half refuses the other refuses too, in the same words. */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openSession, type Session } from "../../lib/engine/session.js";
import { openStoreWriter } from "../../lib/engine/storeWriter.js";
import { groups } from "../../lib/settings/groups.js";
import { expected, inRange, type Setting } from "../../lib/settings/kinds.js";
import { detectorLosses } from "../../lib/settings/losses/detector.js";
import { maskLosses } from "../../lib/settings/losses/table.js";
import { snakeCase } from "../../lib/spelling.js";
import { testDevice } from "../device.js";

let session: Session;
beforeAll(async () => {
  session = await openSession({ size: "tiny", device: testDevice, threads: 1, overrides: { imageSize: 64 } });
});
afterAll(() => session.dispose());

const image = { data: new Uint8Array(64 * 64 * 3), shape: [64, 64, 3] };
const stage = { epochs: 1, stepsPerEpoch: 1, learningRate: 1e-3 };
const losses = maskLosses.map(({ name }) => name);

/** How a value of a group's setting reaches the engine. */
const ways: Record<string, (given: object) => Promise<unknown>> = {
  session: (given) => openSession({ size: "tiny", ...given }),
  pixels: (given) => session.predict({ image, ...given }),
  inference: (given) => session.predict({ image, ...given }),
  candidates: (given) => session.candidates({ image, ...given }),
  tiling: (given) => openStoreWriter({ path: join(tmpdir(), "cellsam-settings.store"), ...given }),
  features: (given) => session.beginStage({ ...stage, stage: 2, ...given }),
  training: (given) => session.beginStage({ ...stage, stage: 1, ...given }),
  stage1: (given) => session.beginStage({ ...stage, stage: 1, ...given }),
  stage2: (given) => session.beginStage({ ...stage, stage: 2, ...given }),
  detector: (given) => session.beginStage({ ...stage, stage: 1, ...given }),
  ...Object.fromEntries(losses.map((name) => [name, (given: object) => session.beginStage({ ...stage, stage: 2, ...given })])),
};

/** Values that a setting must not have: of another type, not whole, and next to its limits. */
function wrongValues(setting: Setting): unknown[] {
  if ("choices" in setting) return ["no such choice", 1];
  if (setting.type === "boolean") return ["true", 1];
  const { minimum, exclusiveMinimum, maximum, exclusiveMaximum } = setting;
  const numbers = [exclusiveMinimum, exclusiveMaximum];
  if (minimum !== undefined) numbers.push(minimum - 1e-6);
  if (maximum !== undefined) numbers.push(maximum + 1e-6);
  if (setting.type === "integer") numbers.push(40.5);
  return ["1", ...numbers.filter((value) => value !== undefined)];
}

describe.each(Object.keys(ways))("%s", (group) => {
  const settings = Object.entries(groups[group] ?? {});

  it.each(settings)("%s is refused by the engine as by the configuration", async (name, setting) => {
    for (const value of wrongValues(setting)) {
      if (typeof value === "number" && "type" in setting && setting.type !== "boolean")
        expect(inRange(value, setting)).toBe(false);
      const message = `option ${snakeCase(name)} must be ${expected(setting)}`;
      await expect(ways[group]?.({ [name]: value }), String(value)).rejects.toMatchObject({
        code: "ERR_INVALID_ARGUMENT",
        message: expect.stringContaining(message),
      });
    }
  });
});

it("every group is read by something", () => {
  // An epoch and the comparison of label maps take arrays besides: their own tests give them wrong numbers.
  expect(Object.keys(groups).filter((group) => !(group in ways))).toEqual(["comparison", "epoch"]);
});

it("both halves have the same losses", async () => {
  const weights = async (number: 1 | 2) =>
    (await session.beginStage({ ...stage, stage: number })).options.filter((name) => /_loss_weight$/.test(name));
  expect(await weights(1)).toEqual([...detectorLosses.names, "dense"].map((name) => `${name}_loss_weight`).sort());
  expect(await weights(2)).toEqual([...losses, "iou"].map((name) => `${name}_loss_weight`).sort());
});
