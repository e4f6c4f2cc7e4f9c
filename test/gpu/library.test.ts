// The library of our kernels: which one an engine opens, and what it does where none of its kernels can run.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { countWork, steadySpan } from "./count.mjs";
import { fiveTiles } from "./data.js";
import { hasPretendDevice, pretendEnvironment, pretendKernels } from "./pretend.mjs";

const native = JSON.stringify(join(import.meta.dirname, "../../dist/engine/native.js"));
const ask = `import(${native}).then(({ engineCall }) => console.log(JSON.stringify(engineCall("info").cuda_kernels)))`;

// One for another CUDA would bring a second CUDA runtime into the process.
describe.skipIf(!hasPretendDevice)("beside an engine whose libtorch is for CUDA 13", () => {
  const { CELLSAM_ENGINE: built = "" } = pretendEnvironment();
  const own = basename(pretendKernels ?? ""); // libcellsam_cuda-X.Y-cu13.so
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "cellsam-library-"));
    // The engine looks beside itself, where the system says that it lies.
    copyFileSync(realpathSync(built), join(folder, basename(built)));
    // Whoever opened these would say that they are no libraries.
    for (const cuda of ["-cu12", ""]) writeFileSync(join(folder, own.replace("-cu13", cuda)), "no library");
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  function kernels(): unknown {
    const env = { ...process.env, ...pretendEnvironment({ CELLSAM_ENGINE: join(folder, basename(built)) }) };
    return JSON.parse(execFileSync(process.execPath, ["-e", ask], { encoding: "utf8", env }));
  }

  test("one for CUDA 13 is opened", () => {
    expect(own).toMatch(/^libcellsam_cuda-\d+\.\d+-cu13\.so$/);
    symlinkSync(pretendKernels as string, join(folder, own));
    expect(kernels()).toEqual(expect.arrayContaining(["mask_losses", "row_column", "graph_begin"]));
  });

  test("those for others are not", () => {
    expect(kernels()).toBe(`${join(folder, own)} is not there`);
  });
});

describe.skipIf(!hasPretendDevice)("a GPU that the library holds no code for", () => {
  const folder = mkdtempSync(join(tmpdir(), "cellsam-no-code-"));
  let store: string;
  beforeAll(async () => {
    store = await fiveTiles(folder);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test.each([
    [1, "row_column"],
    [2, "mask_losses"],
  ])("stage %i: is asked about %s once, and torch's operators do the work", async (stage, kernel) => {
    const train = async (settings = {}) => {
      const { report, hazards, output } = await countWork({ store, stage, device: "cuda:1" }, settings);
      expect(hazards).toEqual([]);
      expect(report.notes[`asked whether cuda:1 can run ${kernel}`]).toBe(1);
      const kernels = Object.keys(steadySpan(report).operators ?? {}).filter((name) => name.startsWith("cellsam_cuda::"));
      return { kernels, losses: output.map(({ loss }) => loss as number) };
    };
    const [ours, torchs] = [await train(), await train({ FAKE_CUDA_KERNELS: "0" })];
    expect(ours.kernels).toContain(`cellsam_cuda::${kernel}`);
    expect(torchs.kernels).toEqual([]);
    expect(torchs.losses).toHaveLength(3);
    for (const [i, loss] of ours.losses.entries())
      expect(Math.abs((torchs.losses[i] as number) - loss)).toBeLessThan(1e-3 * loss);
  });
});
