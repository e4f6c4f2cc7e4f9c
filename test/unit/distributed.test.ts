/** Several processes that train one model together, by the commands of their sessions. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openSession, type Session } from "../../lib/engine/session.js";
import { alone, together as runTogether, stage1, stage2, type Task } from "./together.js";
import { changes, ellipses, relativeDistance, smallOptions, spoilWeights, storeOf, weightsOf } from "./training-tiles.js";

const folder = mkdtempSync(join(tmpdir(), "cellsam-distributed-"));
const store = join(folder, "tiles");
/** Tile 6 holds no cell. Seven batches of a tile in updates of four: the last update has three. */
const cells = [3, 5, 2, 4, 6, 3, 0];
const indices = [0, 1, 2, 3, 4, 5, 6];
const session = smallOptions({ device: "cpu" });

const common = { store, session, indices };
const together = (size: number, task: Partial<Task>) => runTogether(size, { ...common, ...task });

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
    const expected = await alone(common, file("alone"));
    const reference = changes(initial, await weightsIn(file("alone")));
    const digests: unknown[] = [];
    for (const [size, run] of [
      [2, 1],
      [2, 2],
      [3, 1],
      [4, 1],
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

  test("meet by a file too, which is gone afterwards", async () => {
    const task = { stages: [{ ...stage1, epochs: 1 }], file: join(folder, "meeting"), timeout: 5 };
    const [first, second] = await together(2, task);
    expect(first).toMatchObject({ epochs: [{ step: 7 }], digest: second?.digest });
    expect(existsSync(task.file)).toBe(false);
  });

  test.each([
    [0, "SIGKILL", "step"],
    [1, "SIGKILL", "step"],
    [1, "SIGSTOP", "step"],
    [0, "SIGKILL", "validation"],
    [1, "SIGKILL", "validation"],
    [0, "SIGKILL", "save"],
    [1, "SIGKILL", "save"],
  ] as const)("notice that process %i is gone or hangs: %s in a %s", async (rank, signal, during) => {
    const states = join(folder, `state-${rank}-${during}-`);
    const task = { stages: [stage1, stage2], validate: during !== "step", states: during === "save" ? states : null };
    const outcomes = await together(2, { ...task, timeout: 3, end: { rank, signal, during } });
    expect(outcomes[rank]).toBeNull();
    const survivor = outcomes[1 - rank];
    expect(survivor?.error?.code).toBe("ERR_PEER_LOST");
    expect(survivor?.error?.message).toMatch(/What was saved is intact/);
    if (during !== "save") return;
    expect(survivor?.epochs).toHaveLength(2);
    // What process 0 was writing when it was killed is there whole, or not at all.
    const saved = [1, 2].map((epoch) => `${states}${epoch}`).filter((path, i) => i === 0 || rank === 1 || existsSync(path));
    for (const path of saved) {
      await using own = await openSession(session);
      await own.beginStage(stage1);
      await own.loadState(path);
    }
  });
});
