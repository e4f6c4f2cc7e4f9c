import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FullDatasetStrategy } from "../../lib/strategies/fullDataset.js";
import { KFoldStrategy } from "../../lib/strategies/kFold.js";
import { LeaveOneGroupOutStrategy } from "../../lib/strategies/leaveOneGroupOut.js";
import { leftOutNotes, preparedSplits, type Strategy } from "../../lib/strategies/strategy.js";
import { TrainValSplitStrategy } from "../../lib/strategies/trainValSplit.js";

const sources = ["a", "b", "c", "d"];
const trainingOnly = ["x", "y"];
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-training-only-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function fileOf(name: string, content: object): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, JSON.stringify(content));
  return path;
}

describe("images of additional data sets", () => {
  test.each([
    ["one split", new TrainValSplitStrategy()],
    ["folds", new KFoldStrategy({ k: 2 })],
    ["no validation", new FullDatasetStrategy()],
    ["a test side", new TrainValSplitStrategy({ testRatio: 0.25 })],
  ])("change no draw and train in every split: %s", async (_, strategy) => {
    const alone = await preparedSplits(strategy, sources, {});
    const more = await preparedSplits(strategy, sources, { trainingOnly });
    expect(more).toEqual(alone.map((split) => ({ ...split, train: [...split.train, ...trainingOnly] })));
    expect(leftOutNotes(more, trainingOnly)).toEqual([]);
  });

  test("train with a strategy of one's own too", async () => {
    const own: Strategy = { name: "own", prepareSplits: () => [{ seed: 0, train: ["a", "b", "y"], val: ["c"] }] };
    const [split] = await preparedSplits(own, sources, { trainingOnly });
    expect(split).toEqual({ seed: 0, train: ["a", "b", "x", "y"], val: ["c"] });
  });

  test("may be listed in train of a splits file, and train also when they are not", async () => {
    for (const train of [
      ["a", "b", "x"],
      ["a", "b"],
    ]) {
      const splits = await fileOf("splits.json", { seed: 1, train, val: ["c"], test: ["d"] });
      const [split] = await preparedSplits(new TrainValSplitStrategy({ splits }), sources, { trainingOnly });
      expect(split).toEqual({ seed: 1, train: ["a", "b", "x", "y"], val: ["c"], test: ["d"] });
    }
  });

  test.each(["val", "test"])("cannot stand in %s, and the error says why", async (side) => {
    const split = { seed: 1, train: ["a", "b"], val: ["c"], test: ["d"] } as Record<string, unknown>;
    const splits = await fileOf(`${side}.json`, { ...split, [side]: [...(split[side] as string[]), "x"] });
    await expect(preparedSplits(new TrainValSplitStrategy({ splits }), sources, { trainingOnly })).rejects.toMatchObject({
      code: "ERR_SPLIT",
      message: expect.stringMatching(new RegExp(`${side} names images of additional_datasets, which only train.*: x$`)),
    });
    // A name that is nowhere stays unknown.
    await expect(preparedSplits(new TrainValSplitStrategy({ splits }), sources, {})).rejects.toThrow("do not exist: x");
  });

  test("need no group; one of a group that validates is left out of that split, and this is told", async () => {
    const table = { p1: ["a", "b", "x"], p2: ["c"], p3: ["d"] };
    const groups = await fileOf("groups.json", table);
    const folds = await preparedSplits(new LeaveOneGroupOutStrategy({ groups }), sources, { trainingOnly });
    expect(folds.map(({ train, val }) => [val.join(), train.join()])).toEqual([
      ["a,b", "c,d,y"],
      ["c", "a,b,d,x,y"],
      ["d", "a,b,c,x,y"],
    ]);
    expect(leftOutNotes(folds, trainingOnly)).toEqual([expect.stringMatching(/^fold 1: 1 images.*: x$/)]);
    // A group of additional images alone is no fold.
    const more = await fileOf("more.json", { ...table, p4: ["y"] });
    expect(await preparedSplits(new LeaveOneGroupOutStrategy({ groups: more }), sources, { trainingOnly })).toEqual(folds);
  });

  test("that show the same as an image that validates do not train beside it", async () => {
    const strategy = new KFoldStrategy({ k: 4 });
    const folds = await preparedSplits(strategy, sources, { trainingOnly, duplicates: [["b", "x"]] });
    for (const { train, val } of folds) expect(train.includes("x")).toBe(!val.includes("b"));
    expect(folds.filter(({ train }) => train.includes("y"))).toHaveLength(4);
  });
});
