// Holds test/gpu/onGpu.mjs to its word: a file of unit tests that opens a model with the real engine is named there, to run on the
// pretend GPUs or to stay on the CPU for a reason.
import { createRequire } from "node:module";
import { relative } from "node:path";
import { afterAll, expect } from "vitest";
import { packageFolder } from "../lib/version.js";
import { isPlaced } from "./gpu/onGpu.mjs";

interface Opened {
  kind: string;
  device?: string;
}
interface Binding {
  Session: new () => { open(options: Opened): unknown };
}

const find = createRequire(import.meta.url)("node-gyp-build") as (root: string) => Binding;
const binding = find(packageFolder);
let opened: Opened | undefined;

binding.Session = class extends binding.Session {
  override open(options: Opened) {
    // Tests of the border name an engine without a model.
    if (options.kind === "model" && !process.env.CELLSAM_ENGINE) opened ??= options;
    return super.open(options);
  }
};

afterAll(() => {
  const { testPath = "" } = expect.getState();
  const file = relative(import.meta.dirname, testPath).replaceAll("\\", "/");
  if (opened && file.startsWith("unit/"))
    expect(isPlaced(file), `${file} opens a model (${JSON.stringify(opened)}): name it in test/gpu/onGpu.mjs`).toBe(true);
});
