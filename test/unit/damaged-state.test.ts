// What a resumed run does with files in which one bit has changed: an error that names the file, or the same results.
import { cpSync } from "node:fs";
import { mkdir, readFile, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { CellsamError } from "../../lib/errors.js";
import { FakeEngine } from "./runner-fake.js";
import { outcome, runner, syntheticRuns, treeOf } from "./runner-runs.js";

vi.mock("../../lib/evaluation/pairs.js", () => ({
  evaluatePair: () => ({}),
  summarize: (pairs: unknown[]) => ({ images: pairs.length, counts: { truth: 0, predicted: 0 }, f1: null }),
}));

const { newOutput, settings } = syntheticRuns(4, 64);
const stage = { totalEpochs: 3, patience: 10 };

function run(out: string, engine: FakeEngine, resume: boolean) {
  const more = { saveVisualizations: false, tensorboard: false, findDuplicates: false };
  const config = settings(out, { ...more, strategy: "k_fold", kFolds: 2, stage1Config: stage, stage2Config: stage });
  return runner(engine, config, { resume }).run();
}

/** A run of two folds that was killed in the second, and what it must come to. */
async function killed(): Promise<{ out: string; expected: Record<string, string> }> {
  const whole = newOutput();
  const engine = new FakeEngine();
  await run(whole, engine, false);
  const out = newOutput();
  const dying = new FakeEngine();
  dying.dieAt = engine.calls.length - 12;
  await run(out, dying, false).catch(() => undefined);
  return { out, expected: await outcome(whole) };
}

describe("a resumed run", () => {
  it("notices every changed bit of what it continues from", async () => {
    const { out, expected } = await killed();
    const files = ["resume/run.json", "models/fold_2/manifest.json", "splits.json", "results/per_image.json"];
    const codes: Record<string, number> = {};
    for (const file of files) {
      const bytes = await readFile(join(out, "run", file));
      const stride = Math.ceil(bytes.length / 12);
      for (let at = 0; at < bytes.length; at += stride) {
        const copy = newOutput();
        cpSync(out, copy, { recursive: true });
        const changed = Buffer.from(bytes);
        changed[at] = (changed[at] as number) ^ (1 << (at % 7));
        await writeFile(join(copy, "run", file), changed);
        const error = await run(copy, new FakeEngine(), true).then(
          () => null,
          (thrown: unknown) => thrown,
        );
        const place = `${file}, byte ${at}`;
        // The results do not depend on a manifest, which is made anew where it is read.
        const withoutManifests = (files: Record<string, string>) =>
          Object.fromEntries(Object.entries(files).filter(([name]) => !name.endsWith("manifest.json")));
        if (error === null) expect(withoutManifests(await outcome(copy)), place).toEqual(withoutManifests(expected));
        else {
          expect(error, place).toBeInstanceOf(CellsamError);
          expect((error as CellsamError).message, place).toContain(file.split("/").at(-1));
          codes[`${file} ${(error as CellsamError).code}`] = (codes[`${file} ${(error as CellsamError).code}`] ?? 0) + 1;
        }
      }
    }
    expect(Object.keys(codes)).toContain("resume/run.json ERR_RESUME");
    expect(Object.keys(codes).filter((name) => name.includes("manifest"))).toEqual([]);
  });

  it("removes what killed processes left half written, and leaves what another may be writing", async () => {
    const { out } = await killed();
    const names = ["models/fold_1/best_model_s1.pth.tmp", "resume/state.safetensors.0123456789abcdef.tmp", "notes.tmp"];
    const old = new Date(Date.now() - 25 * 3600_000);
    for (const name of names) await writeFile(join(out, "run", name), "half");
    await mkdir(join(out, ".tiles"), { recursive: true });
    for (const name of ["old", "new"]) await writeFile(join(out, ".tiles", `${name}.bin.0123456789abcdef.tmp`), "half");
    await utimes(join(out, ".tiles/old.bin.0123456789abcdef.tmp"), old, old);
    await run(out, new FakeEngine(), true);
    const left = (await treeOf(out)).filter((name) => name.endsWith(".tmp"));
    expect(left).toEqual([".tiles/new.bin.0123456789abcdef.tmp", "run/notes.tmp"]);
  });
});
