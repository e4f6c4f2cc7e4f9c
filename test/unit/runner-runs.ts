/** Data, settings and results of the runs that tests do over the fake engine. */
import { mkdtempSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, sep } from "node:path";
import { afterAll, beforeAll } from "vitest";
import type { ExperimentInput } from "../../lib/config/experiment.js";
import { generateSynthetic } from "../../lib/data/synthetic.js";
import { ExperimentRunner } from "../../lib/train/experiment.js";
import type { RunnerOptions } from "../../lib/train/options.js";
import { testDevice } from "../device.js";
import type { FakeEngine } from "./runner-fake.js";

/** A folder with synthetic images of `size` by `size` pixels, made before the tests of the calling file and removed after them. */
export function syntheticRuns(images: number, size: number) {
  const folder = mkdtempSync(join(tmpdir(), "cellsam-runs-"));
  const data = { imgPath: join(folder, "data/images"), maskPath: join(folder, "data/masks") };
  beforeAll(() => generateSynthetic({ directory: join(folder, "data"), images, size, seed: 1 }));
  afterAll(() => rm(folder, { recursive: true, force: true }));
  let outputs = 0;
  return {
    folder,
    data,
    newOutput: () => join(folder, `out-${outputs++}`),
    /** Settings of an experiment "run" with these images. */
    settings: (outputDir: string, more: Partial<ExperimentInput>): ExperimentInput => {
      return { ...data, outputName: "run", outputDir, device: testDevice, ...more };
    },
  };
}

export function runner(engine: FakeEngine, config: ExperimentInput, options: RunnerOptions = {}): ExperimentRunner {
  const { openSession, openStoreWriter } = engine;
  return new ExperimentRunner(config, { openSession, openStoreWriter, ...options });
}

/** All files below `root`, with / between folders, sorted. */
export async function treeOf(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return files.map((file) => file.slice(root.length + 1).replaceAll(sep, "/")).sort();
}

/** The files of a finished run that must not depend on interruptions or on the folder, and their contents. */
export async function outcome(outputDir: string): Promise<Record<string, string>> {
  const root = join(outputDir, "run");
  const files = (await treeOf(root)).filter((file) => /^(models|metrics|results|splits)/.test(file) && !file.endsWith(".html"));
  const texts = await Promise.all(files.map((file) => readFile(join(root, file), "utf8")));
  const withoutFolder = texts.map((text) => text.replaceAll(/(?:[A-Z]:)?[/\\][^"]*[/\\]run[/\\]+/g, ""));
  return Object.fromEntries(files.map((file, i) => [file, withoutFolder[i] as string]));
}
