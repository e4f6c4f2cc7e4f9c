// The Windows half of native/os and what stands on it, run as Windows programs: files and libraries, kept features, and
// binding.node in Node.js for Windows with the fake engine.
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { endings } from "../stress/engine.js";
import { makeWindows, nodeOnWindows, underWine, windows } from "./wine.js";

describe.skipIf(!windows)("on Windows", () => {
  beforeAll(makeWindows, 600_000);

  it.each([
    ["os", 45],
    ["feature_file", 35],
  ])("%s holds in all of at least %i checks", async (program, atLeast) => {
    const { code, out, err } = await underWine("programs.exe", [program]);
    const lines = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.filter(({ ok }) => ok === false)).toEqual([]);
    expect(lines.at(-1), err).toMatchObject({ case: program, failed: 0 });
    expect(lines.length).toBeGreaterThan(atLeast);
    expect(code).toBe(0);
  });

  it("carries values, arrays and errors between JavaScript and the engine", async () => {
    const { out, err } = await nodeOnWindows([join("test", "windows", "border.mjs")]);
    expect(err).toBe("");
    expect(JSON.parse(out)).toEqual({
      platform: "win32",
      echo: { text: "ä€𝄞", list: [1.5, true, null] },
      sum: { dtype: 3, shape: [2, 2], sum: 10 },
      ramp: [0, 1, 2, 3],
      error: { code: "ERR_FAKE", message: "told to fail", detail: { image: "a.png", step: 3, sizes: [1, 2] } },
      steps: 3,
      live: { sessions: 0, jobs: 0, borrowed: 0 },
    });
  });

  it.each(endings)("ends cleanly by %s while a job runs", async (mode, code, out) => {
    const ending = await nodeOnWindows([join("test", "stress", "child.mjs"), mode]);
    expect(ending, ending.err).toMatchObject({ code, out });
  });
});
