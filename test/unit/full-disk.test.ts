// What happens to a run when the files about it can no longer be written. /dev/full is a disk without space (ENOSPC).
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { AppendedFile } from "../../lib/monitor/appendedFile.js";
import { FakeEngine } from "./runner-fake.js";
import { runner, syntheticRuns, treeOf } from "./runner-runs.js";

const onLinux = it.skipIf(process.platform !== "linux");
const { newOutput, settings } = syntheticRuns(4, 64);

function full(path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  rmSync(path, { recursive: true, force: true });
  symlinkSync("/dev/full", path);
}

describe("a file that grows", () => {
  onLinux("ends at the first write that fails, and says so once", () => {
    const path = join(newOutput(), "logs/a.log");
    const failures: string[] = [];
    const file = new AppendedFile(path, (failed, { message }) => failures.push(`${failed}: ${message}`));
    file.append("first\n");
    full(path);
    file.append("second\n");
    file.append("third\n");
    expect(failures).toEqual([`${path}: ENOSPC: no space left on device, write`]);
  });
});

describe("a run on a full disk", () => {
  onLinux("goes on without its logs, curves and metrics, with one notice for each", async () => {
    const out = newOutput();
    const engine = new FakeEngine();
    engine.onStep = (stage, epoch, step) => {
      if (stage !== 1 || epoch !== 1 || step !== 1) return;
      full(join(out, "run/logs/events.jsonl"));
      full(join(out, "run/logs/experiment.log"));
      for (const folder of ["logs/tensorboard", "metrics"]) {
        rmSync(join(out, "run", folder), { recursive: true, force: true });
        writeFileSync(join(out, "run", folder), "");
      }
    };
    const notices: string[] = [];
    const stage = { totalEpochs: 3 };
    const more = { stage1Config: stage, stage2Config: stage, tensorboard: true, logFreq: 1 };
    const config = settings(out, { saveVisualizations: false, strategy: "train_val_split", ...more });
    const run = runner(engine, config);
    for await (const event of run.events()) if (event.type === "notice") notices.push(event.message);
    expect((await run.run())[0]).toMatchObject({ error: null });
    const about = (name: string) =>
      notices.filter((text) => text.includes(name) && text.includes("training goes on without it"));
    for (const name of ["events.jsonl", "experiment.log", "tensorboard", "stage1_metrics.json", "stage2_metrics.json"])
      expect(about(name), name).toHaveLength(1);
    const saved = JSON.parse(await readFile(join(out, "run/results/individual_results.json"), "utf8"));
    expect(saved).toHaveLength(1);
  });
});

describe("what a full disk has kept from being written", () => {
  const stage = { totalEpochs: 3 };
  const more = { stage1Config: stage, stage2Config: stage, preeval: true, saveVisualizations: false, tensorboard: false };
  const configOf = (out: string, strategy: "train_val_split" | "k_fold") => settings(out, { ...more, strategy, kFolds: 2 });
  const known = ["results/preeval_results.json", "results/near_duplicates.json"];
  const written = async (out: string) => {
    const files = (await treeOf(join(out, "run"))).filter((file) => file.startsWith("metrics/") || known.includes(file));
    return Object.fromEntries(
      await Promise.all(files.map(async (file) => [file, await readFile(join(out, "run", file), "utf8")])),
    );
  };
  /** Folders in the place of files, which no write replaces. */
  const blocked = [...known, "results/report.html"];

  it.each(["train_val_split", "k_fold"] as const)("is completed when a finished run is resumed: %s", async (strategy) => {
    const [undisturbed, out] = [newOutput(), newOutput()];
    await runner(new FakeEngine(), configOf(undisturbed, strategy)).run();
    const expected = await written(undisturbed);
    expect(Object.keys(expected)).toHaveLength(strategy === "k_fold" ? 6 : 4);

    const engine = new FakeEngine();
    let blocks = 0;
    engine.record = (name) => {
      engine.calls.push(name);
      if (blocks++ > 0) return;
      for (const name of blocked) mkdirSync(join(out, "run", name, "in the way"), { recursive: true });
      writeFileSync(join(out, "run/metrics"), "");
    };
    await runner(engine, configOf(out, strategy), { overwrite: true }).run();
    for (const name of [...blocked, "metrics"]) rmSync(join(out, "run", name), { recursive: true });
    expect(await written(out)).toEqual({});

    const later = new FakeEngine();
    await runner(later, configOf(out, strategy), { resume: true }).run();
    expect(later.calls).toEqual([]);
    expect(await written(out)).toEqual(expected);
    expect(await readFile(join(out, "run/results/report.html"), "utf8")).toContain("<html");
  });

  it("is completed at the end of the run where there is room again", async () => {
    const [undisturbed, out] = [newOutput(), newOutput()];
    await runner(new FakeEngine(), configOf(undisturbed, "train_val_split")).run();
    const engine = new FakeEngine();
    const metrics = join(out, "run/metrics");
    engine.onValidate = (stage, epoch) => {
      if (stage === 1 && epoch === 3) {
        rmSync(metrics, { recursive: true });
        writeFileSync(metrics, "");
      }
      if (stage === 2 && epoch === 1) rmSync(metrics);
    };
    await runner(engine, configOf(out, "train_val_split")).run();
    expect(await written(out)).toEqual(await written(undisturbed));
  });
});
