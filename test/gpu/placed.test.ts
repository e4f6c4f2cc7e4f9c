// Tests that need a GPU are skipped where there is none: each of them has to run on the pretend ones.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { isPlaced, onGpu, onlyOnCpu } from "./onGpu.mjs";

const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith(".test.ts"));
const needsGpu = /^import .* from "\.\/gpu\.js";$/m;
const needing = files.filter((name) => needsGpu.test(readFileSync(join(import.meta.dirname, name), "utf8")));

test("every file that needs a GPU is named in onGpu.mjs", () => {
  expect(needing).toContain("training.test.ts");
  for (const name of needing) expect(isPlaced(`gpu/${name}`), name).toBe(true);
});

test("what is named there exists", () => {
  for (const name of [...onGpu, ...Object.keys(onlyOnCpu)])
    if (!name.includes("*")) expect(existsSync(join(import.meta.dirname, "..", name)), name).toBe(true);
});
