// Holds test/gpu/onGpu.mjs to its word: a file of unit tests that opens a model with the real engine is named there, to run on the
// pretend GPUs or to stay on the CPU for a reason.
import { relative } from "node:path";
import { afterAll, expect } from "vitest";
import { isPlaced } from "./gpu/onGpu.mjs";
import { openedModels } from "./openedModels.js";

afterAll(() => {
  const { testPath = "" } = expect.getState();
  const file = relative(import.meta.dirname, testPath).replaceAll("\\", "/");
  // Tests of the border name an engine without a model.
  const opened = openedModels.find(({ engine }) => !engine);
  if (opened && file.startsWith("unit/"))
    expect(isPlaced(file), `${file} opens a model (${JSON.stringify(opened)}): name it in test/gpu/onGpu.mjs`).toBe(true);
});
