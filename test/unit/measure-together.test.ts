// An evaluation that processes divide is that of one process, whatever the others can and cannot measure. The processes are
// stand-ins here; test/e2e/distributed.test.ts has real ones.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ExperimentConfig } from "../../lib/config/experiment.js";
import { discover, type Pair } from "../../lib/data/discover.js";
import { generateSynthetic } from "../../lib/data/synthetic.js";
import type { Group } from "../../lib/distributed/group.js";
import type { Session } from "../../lib/engine/session.js";
import { evaluateModel } from "../../lib/evaluation/model.js";
import type { TrainingEvent } from "../../lib/events.js";
import { measureTogether, shareOfEvaluation } from "../../lib/train/measureTogether.js";
import { FakeEngine } from "./runner-fake.js";

const size = 3;
let folder: string;
let config: ExperimentConfig;
let pairs: readonly Pair[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-together-"));
  // More than a round of three processes.
  const { imgPath, maskPath } = await generateSynthetic({ directory: folder, images: 26, size: 64, seed: 1 });
  config = new ExperimentConfig({ imgPath, maskPath, outputName: "run" });
  ({ pairs } = await discover({ imgPath, maskPath }));
});
afterAll(() => rm(folder, { recursive: true }));

/** Process 0 beside two others with an engine each; `others` stands in what they work with. */
async function processes(others: { fails?: (image: Pair) => boolean; signal?: AbortSignal } = {}) {
  const engines = Array.from({ length: size }, () => new FakeEngine());
  const sessions = await Promise.all(engines.map((engine) => engine.openSession({ size: "tiny", seed: 1 })));
  const group = (rank: number) => ({ rank, size }) as Group;
  const divide = async (work: unknown, share: () => Promise<string>) => {
    const sent = JSON.stringify(work); // as it passes between processes
    const one = (session: Session, rank: number) => {
      const task = JSON.parse(sent) as { pairs: Pair[] };
      for (const pair of task.pairs) if (others.fails?.(pair)) pair.image = join(folder, "another machine");
      return shareOfEvaluation(config, others.signal)(session, task, group(rank));
    };
    return [await share(), ...(await Promise.all(sessions.slice(1).map((session, i) => one(session, i + 1))))];
  };
  const stop = new AbortController();
  const events: TrainingEvent[] = [];
  const context = {
    session: Object.assign(sessions[0] as Session, { divide }),
    config,
    emit: (event: TrainingEvent) => void events.push(event),
    signal: stop.signal,
    measureImages: measureTogether(group(0), () => stop.abort(new Error("another was stopped"))),
  };
  const measured = () => engines.map(({ calls }) => calls.filter((call) => call === "prompt_iou").length);
  return { context, events, measured };
}

async function alone() {
  const session = await new FakeEngine().openSession({ size: "tiny", seed: 1 });
  return { session, config, emit: () => undefined };
}

const options = { optimizeThreshold: true, thresholds: { fixed: 0.3 } } as const;

describe("an evaluation by three processes", () => {
  test("is that of one, with a share of the images in each, in their order", async () => {
    const { context, events, measured } = await processes();
    const evaluation = await evaluateModel(context, pairs, options);
    expect(evaluation).toEqual(await evaluateModel(await alone(), pairs, options));
    expect(evaluation.images.map(({ image }) => image)).toEqual(pairs.map(({ source }) => source));
    expect(measured()).toEqual([9, 9, 8]);
    expect(events.filter(({ type }) => type === "progress")).toHaveLength(26);
    expect(events.filter(({ type }) => type === "notice")).toEqual([]);
  });

  test("has process 0 do what the others cannot read, and says so once", async () => {
    const { context, events, measured } = await processes({ fails: () => true });
    expect(await evaluateModel(context, pairs, options)).toEqual(await evaluateModel(await alone(), pairs, options));
    expect(measured()).toEqual([26, 0, 0]);
    const notices = events.flatMap((event) => (event.type === "notice" ? [event.message] : []));
    expect(notices).toEqual([expect.stringMatching(/process 1 could not measure .*synthetic_001\.\w+; process 0 does it/)]);
  });

  test("fails as one does where nobody can read an image, or lists it", async () => {
    const broken = pairs.map((pair, i) => (i === 4 ? { ...pair, image: join(folder, "missing.png") } : pair));
    const own = await alone();
    const fault = await evaluateModel(own, broken, options).catch((error: Error) => error);
    const { context } = await processes();
    await expect(evaluateModel(context, broken, options)).rejects.toEqual(fault);
    const going = { ...options, keepGoing: true };
    expect(await evaluateModel(context, broken, going)).toEqual(await evaluateModel(own, broken, going));
  });

  test("ends when one of the others was told to stop", async () => {
    const { context, measured } = await processes({ signal: AbortSignal.abort() });
    await expect(evaluateModel(context, pairs, options)).rejects.toThrow("another was stopped");
    expect(measured()).toEqual([8, 0, 0]);
  });
});
