// Folds in processes of their own: the same files as one after another, whatever ends in between, and however it goes on.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { ExperimentInput } from "../../lib/config/experiment.js";
import type { TrainingEvent } from "../../lib/events.js";
import { readChecked, readJson } from "../../lib/files/json.js";
import type { ProcessMark } from "../../lib/pool/processMark.js";
import { ExperimentRunner } from "../../lib/train/experiment.js";
import type { RunnerOptions } from "../../lib/train/options.js";
import { type RunState, writeRunState } from "../../lib/train/resume.js";
import { heldFolds } from "../heldFold.js";
import { descendantsOf, running } from "../processes.js";
import { outcome, syntheticRuns, treeOf } from "./runner-runs.js";

const { folder, newOutput, settings } = syntheticRuns(4, 64);
// The digits of a sum depend on the threads that share it, and processes divide the cores.
const threads = 1;

function input(outputDir: string): ExperimentInput {
  const stage = { totalEpochs: 2 };
  const network = { size: "tiny", tileSize: 64, threads, stage1Config: stage, stage2Config: stage } as const;
  return settings(outputDir, { kFolds: 2, preeval: true, saveVisualizations: false, ...network });
}

async function train(outputDir: string, options: RunnerOptions, onEvent: (event: TrainingEvent) => void = () => undefined) {
  const events: TrainingEvent[] = [];
  const run = new ExperimentRunner(input(outputDir), options);
  for await (const event of run.events()) {
    events.push(event);
    onEvent(event);
  }
  return { events, results: await run.run() };
}

/** The number of a fold's process, as the log tells. */
async function processOf(outputDir: string, fold: number): Promise<number> {
  const log = await readFile(join(outputDir, "run/logs/experiment.log"), "utf8");
  return Number([...log.matchAll(new RegExp(`fold ${fold} begins in process (\\d+)`, "g"))].at(-1)?.[1]);
}

/** Holds folds that start from here on at their first epoch; returns what releases them. */
function hold(...folds: number[]): () => void {
  const { env, release } = heldFolds(folds, 1, folder);
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  return release;
}
afterEach(() => {
  vi.unstubAllEnvs();
});

const firstEpoch = (fold: number) => (event: TrainingEvent) =>
  event.type === "epoch" && event.fold === fold && event.stage === 1 && event.epoch === 1;

let whole: Record<string, string>;
beforeAll(async () => {
  const out = newOutput();
  await train(out, {});
  whole = await outcome(out);
});

describe("folds in processes of their own", () => {
  it.each([
    ["two at a time", { maxParallel: 2 }],
    ["started by a launcher", { launcher: `sh -c 'exec "$@"' --` }],
    ["on devices", { devices: ["cpu", "cpu"] }],
  ])("%s write the same files as one after another", async (_how, options) => {
    const out = newOutput();
    const { events, results } = await train(out, options);
    expect(results.map(({ fold, error }) => [fold, error])).toEqual([
      [1, null],
      [2, null],
    ]);
    expect(await outcome(out)).toEqual(whole);
    expect((await treeOf(join(out, "run/resume"))).filter((file) => file !== "run.json")).toEqual([]);
    const folds = events.filter((event) => event.type === "fold").map(({ fold, state }) => `${fold} ${state}`);
    expect(folds.sort()).toEqual(["1 begin", "1 end", "2 begin", "2 end"]);
    expect(events.find((event) => event.type === "step")).toMatchObject({ fold: expect.any(Number) });
    const curves = await treeOf(join(out, "run/logs/tensorboard"));
    for (const fold of [1, 2]) expect(curves.some((file) => file.startsWith(`fold_${fold}/stage2_steps/`))).toBe(true);
    expect(existsSync(join(out, "run/logs/fold_2/experiment.log"))).toBe(true);
  });

  it("a killed one fails its fold alone, which a resumed run continues, here or there", async () => {
    const out = newOutput();
    hold(2);
    const { results } = await train(out, { maxParallel: 2 }, async (event) => {
      if (firstEpoch(2)(event)) process.kill(await processOf(out, 2), "SIGKILL");
    });
    vi.unstubAllEnvs();
    expect(results[0]?.error).toBeNull();
    expect(results[1]?.error).toMatchObject({ code: "ERR_TRIAL_DIED" });
    expect(existsSync(join(out, "run/resume/fold_2/run.json"))).toBe(true);
    const { events } = await train(out, { resume: true });
    const told = events
      .filter((event) => event.type === "fold" && event.fold === 2)
      .map((event) => event.type === "fold" && event.state);
    expect(told).toEqual(["begin", "end"]);
    expect(await outcome(out)).toEqual(whole);
  });

  it("stopped together, they go on together", async () => {
    const out = newOutput();
    const release = hold(1, 2);
    const stop = new AbortController();
    const begun = new Set<number>();
    const stopped = train(out, { maxParallel: 2, signal: stop.signal }, (event) => {
      for (const fold of [1, 2]) if (firstEpoch(fold)(event)) begun.add(fold);
      if (begun.size < 2 || stop.signal.aborted) return;
      stop.abort(new Error("enough"));
      release();
    });
    await expect(stopped).rejects.toThrow("enough");
    for (const fold of [1, 2]) {
      const state = await readJson<{ fold: number }>(join(out, `run/resume/fold_${fold}/run.json`));
      expect(state.fold).toBe(fold);
    }
    // A fold that began elsewhere is not continued here, and keeps what it has saved.
    const saved = join(out, "run/resume/fold_2/run.json");
    const state = await readChecked<RunState>(saved);
    await writeRunState(saved, { ...state, device: "cuda:1" });
    await expect(train(out, { resume: true })).rejects.toThrow(/it ran on cuda:1, now it would on cpu/);
    await writeRunState(saved, state);
    await train(out, { resume: true, maxParallel: 2 });
    expect(await outcome(out)).toEqual(whole);
  });

  it("continue a fold that was begun by itself", async () => {
    const out = newOutput();
    const stop = new AbortController();
    const stopped = train(out, { signal: stop.signal }, (event) => {
      if (event.type === "stage" && event.stage === 2) stop.abort(new Error("enough"));
    });
    await expect(stopped).rejects.toThrow("enough");
    const { events } = await train(out, { resume: true, maxParallel: 2 });
    // Stage 1 of the first fold was done.
    expect(events.filter((event) => event.type === "epoch" && event.fold === 1 && event.stage === 1)).toEqual([]);
    expect(await outcome(out)).toEqual(whole);
  });

  it("save when the whole program is killed, and the next one waits for them", async () => {
    const out = newOutput();
    const config = join(folder, "killed.json");
    await writeFile(config, JSON.stringify(input(out)));
    const cellsam = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
    const release = hold(2);
    const child = spawn(process.execPath, [cellsam, "train", "--config", config, "--max-parallel", "2", "--json"]);
    vi.unstubAllEnvs();
    let started: ProcessMark[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      if (!firstEpoch(2)(JSON.parse(line))) continue;
      if (process.platform === "linux") started = descendantsOf(child.pid as number);
      child.kill("SIGKILL");
      release();
    }
    const { results } = await train(out, { resume: true, maxParallel: 2 });
    await expect.poll(() => running(started), { timeout: 900_000 }).toEqual([]);
    expect(results.map(({ error }) => error)).toEqual([null, null]);
    expect(await outcome(out)).toEqual(whole);
  });

  it("cannot be given functions of this process", () => {
    const lossWeights = () => ({});
    expect(() => new ExperimentRunner(input(newOutput()), { maxParallel: 2, lossWeights })).toThrow(
      /lossWeights cannot be used with maxParallel/,
    );
  });
});
