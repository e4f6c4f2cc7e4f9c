// In the projects of vitest.config.ts that run on a pretend GPU: a file of tests fails when the device has seen a hazard, and when
// all of the file's models were on the CPU.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect } from "vitest";
import { openedModels } from "../openedModels.js";
import { readReport } from "./pretend.mjs";

const folder = mkdtempSync(join(tmpdir(), "cellsam-pretend-"));
process.env.FAKE_CUDA_REPORT = join(folder, "report"); // before this process, or a child of it, loads the engine

afterAll(() => {
  const { hazards } = readReport(join(folder, "report"));
  rmSync(folder, { recursive: true });
  expect(hazards).toEqual([]);
  const devices = openedModels.map(({ device }) => device);
  if (devices.length > 0) expect(devices, "where the file's models were").toContainEqual(expect.stringMatching(/^cuda/));
});
