/** Several processes that train one model together, by the commands of their sessions. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePorts } from "../../lib/distributed/freePorts.js";
import { openSession, type Session } from "../../lib/engine/session.js";
import { changes, ellipses, relativeDistance, smallOptions, spoilWeights, storeOf, weightsOf } from "./training-tiles.js";

const child = fileURLToPath(new URL("distributed-child.mjs", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "cellsam-distributed-"));
const store = join(folder, "tiles");
/** Tile 6 holds no cell. Seven batches of a tile in updates of four: the last update has three. */
const cells = [3, 5, 2, 4, 6, 3, 0];
const indices = [0, 1, 2, 3, 4, 5, 6];
const sgd = { optimizer: "sgd", learningRate: 0.05, weightDecay: 0, gradClip: 1, scheduler: "none", accumulate: 4 } as const;
const stage1 = { stage: 1, epochs: 2, stepsPerEpoch: 7, ...sgd } as const;
const stage2 = { stage: 2, epochs: 2, stepsPerEpoch: 7, ...sgd } as const;
const session = smallOptions({ device: "cpu" });

interface Outcome {
  rank: number;
  steps: number;
  epochs: {
    step: number;
    stopped: boolean;
    images: number;
    losses: Record<string, number>;
    validation: Record<string, number> | null;
  }[];
  digest?: Record<string, string>;
  error?: { code: string; message: string };
}

/** Runs `size` processes; those that are killed, or hang, have no outcome. */
async function together(size: number, task: Record<string, unknown>): Promise<(Outcome | null)[]> {
  const [port] = await freePorts(1);
  const children = Array.from({ length: size }, (_, rank) => {
    const own = { place: { rank, size, port }, session, indices, batchSize: 1, store, ...task };
    let done: (outcome: Outcome | null) => void;
    const outcome = new Promise<Outcome | null>((resolve) => {
      done = resolve;
    });
    const process_ = execFile(process.execPath, [child, JSON.stringify(own)], (error, stdout) =>
      done(error ? null : (JSON.parse(stdout) as Outcome)),
    );
    return { process_, outcome };
  });
  const hanging =
    (task.end as { signal?: string } | undefined)?.signal === "SIGSTOP" ? (task.end as { rank: number }).rank : -1;
  const outcomes = await Promise.all(children.map(({ outcome }, rank) => (rank === hanging ? null : outcome)));
  children[hanging]?.process_.kill("SIGKILL");
  return outcomes;
}

/** The same training in this process alone. */
async function alone(stages: readonly (typeof stage1 | typeof stage2)[], save: string): Promise<Outcome["epochs"]> {
  await using own = await openSession(session);
  const epochs: Outcome["epochs"] = [];
  for (const stage of stages) {
    await own.beginStage(stage);
    for (let epoch = 1; epoch <= stage.epochs; epoch += 1) {
      const tiles = { store, indices: Int32Array.from(indices), batchSize: 1 };
      const { step, stopped, losses, images } = await own.trainEpoch({ ...tiles, epoch, augment: true });
      const validation = (await own.validate(tiles)).losses;
      epochs.push({ step, stopped, images, losses, validation } as Outcome["epochs"][number]);
    }
  }
  await own.save(save, { format: "safetensors" });
  return epochs;
}

async function weightsIn(path: string): Promise<Map<string, Float32Array>> {
  await using own: Session = await openSession(session);
  await own.load(path);
  return await weightsOf(own, folder);
}

beforeAll(async () => {
  await storeOf(
    cells.map((count, i) => ellipses(i + 1, count)),
    store,
  );
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("processes that train together", () => {
  const file = (name: string) => join(folder, `${name}.safetensors`);

  test("get what one process gets, to the rounding of sums, and the same bits each time", async () => {
    await using fresh = await openSession(session);
    const initial = await weightsOf(fresh, folder);
    const stages = [stage1, stage2];
    const expected = await alone(stages, file("alone"));
    const reference = changes(initial, await weightsIn(file("alone")));
    const digests: unknown[] = [];
    for (const [size, run] of [
      [2, 1],
      [2, 2],
      [3, 1],
    ] as const) {
      const save = file(`${size}-${run}`);
      const outcomes = await together(size, { stages, validate: true, save });
      for (const outcome of outcomes) {
        expect(outcome?.error).toBeUndefined();
        expect(outcome?.digest).toEqual(outcomes[0]?.digest);
        expect(outcome?.steps).toBe(26); // of all, in each process; tile 6 has no losses in stage 2
      }
      const { epochs = [], digest } = outcomes[0] ?? {};
      expect(epochs.map(({ step, stopped, images }) => [step, stopped, images])).toEqual(Array(4).fill([7, false, 7]));
      // Float32 sums of at most four gradients in another order, over eight updates: each rounds by 6e-8, and cancellation makes
      // that more. A batch left out, or counted twice, would change the weights by a tenth.
      expect(relativeDistance(changes(initial, await weightsIn(save)), reference)).toBeLessThan(1e-4);
      for (const [i, epoch] of epochs.entries()) {
        expect(epoch.losses.total_loss).toBeCloseTo(expected[i]?.losses.total_loss as number, 4);
        expect(epoch.validation?.total_loss).toBeCloseTo(expected[i]?.validation?.total_loss as number, 4);
      }
      if (size === 2) digests.push(digest);
    }
    expect(digests[0]).toEqual(digests[1]);
  });

  test("refuse updates of fewer batches than processes", async () => {
    const outcomes = await together(2, { stages: [{ ...stage1, accumulate: 1 }] });
    for (const outcome of outcomes) {
      expect(outcome?.error?.code).toBe("ERR_CONFIG");
      expect(outcome?.error?.message).toMatch(/accumulate of stage 1 is 1: 2 processes need at least 2/);
    }
  });

  test("stop together when one of them is to stop", async () => {
    const outcomes = await together(2, { stages: [{ ...stage2, epochs: 1 }], stop: 1 });
    for (const outcome of outcomes) expect(outcome?.epochs).toMatchObject([{ step: 0, stopped: true }]);
  });

  test("report a loss that is not finite by the process that computed it; a batch without prompts is none", async () => {
    await using own = await openSession(session);
    const bad = join(folder, "bad.safetensors");
    // Finite, but their products are not.
    await spoilWeights(own, folder, "model.image_encoder.neck.0.weight", (values) => values.fill(1e38));
    await own.save(bad, { format: "safetensors" });
    for (const withCells of [0, 5]) {
      // One update of two batches, of which the one of tile 6 has no prompts.
      const task = { stages: [{ ...stage2, epochs: 1, stepsPerEpoch: 2, accumulate: 2 }], load: bad, indices: [6, withCells] };
      const outcomes = await together(2, task);
      const messages = outcomes.map((outcome) => {
        expect(outcome?.error?.code).toBe("ERR_NON_FINITE_LOSS");
        return outcome?.error?.message ?? "";
      });
      for (const message of messages) expect(message).toContain(`images: tile${withCells})`);
      expect(messages.filter((message) => /^process [01] on .*: /.test(message))).toHaveLength(1);
    }
  });

  test.each([
    [0, "SIGKILL"],
    [1, "SIGKILL"],
    [1, "SIGSTOP"],
  ] as const)("notice that process %i is gone or hangs: %s in a step", async (rank, signal) => {
    const outcomes = await together(2, { stages: [stage1], timeout: 3, end: { rank, signal } });
    expect(outcomes[rank]).toBeNull();
    expect(outcomes[1 - rank]?.error?.code).toBe("ERR_PEER_LOST");
    expect(outcomes[1 - rank]?.error?.message).toMatch(/What was saved is intact/);
  });
});
