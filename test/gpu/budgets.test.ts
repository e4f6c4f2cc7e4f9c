// Launches and waits of a step and of a prediction stay within what budgets.ts allows, and nothing is done that would go wrong
// on a GPU.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { budgets } from "./budgets.js";
import { countWork, steadySpan } from "./count.mjs";
import { fiveTiles, image } from "./data.js";
import { hasPretendDevice } from "./pretend.mjs";

const folder = mkdtempSync(join(tmpdir(), "cellsam-budgets-"));
let store: string;
beforeAll(async () => {
  store = await fiveTiles(folder);
});
afterAll(() => rmSync(folder, { recursive: true }));

describe.skipIf(!hasPretendDevice)("a step and a prediction", () => {
  test.each(budgets)(
    "$name: at most $launches launches and $waits waits",
    async ({ launches, waits, eventWaits = 0, work }) => {
      const { warm, options, ...session } = work;
      const kept = warm ? { featureCacheDir: join(folder, "features") } : {};
      const what = work.image ? { image } : { store, ...session, options: { ...options, ...kept } };
      const { report, hazards } = await countWork(what);
      const counted = steadySpan(report);
      expect(hazards).toEqual([]);
      expect(counted.waits, JSON.stringify(counted.waitsFor)).toBeLessThanOrEqual(waits);
      expect(counted.eventWaits).toBeLessThanOrEqual(eventWaits);
      expect(counted.launches, JSON.stringify(counted.operators)).toBeLessThanOrEqual(launches);
    },
  );
});
