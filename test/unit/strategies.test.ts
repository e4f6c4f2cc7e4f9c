import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ExperimentConfig } from "../../lib/config/experiment.js";
import { readGroups } from "../../lib/data/groups.js";
import { checkFolds, readFolds, type Splits } from "../../lib/data/split.js";
import { readJson } from "../../lib/files/json.js";
import {
  FullDatasetStrategy,
  KFoldStrategy,
  LeaveOneGroupOutStrategy,
  TrainValSplitStrategy,
} from "../../lib/python/strategies.js";
import { configuredStrategy } from "../../lib/strategies/table.js";

const sources = Array.from({ length: 23 }, (_, i) => `image_${String(i).padStart(2, "0")}`);
/** Slides of 1 to 6 images. */
const slides = Object.fromEntries(sources.map((stem, i) => [stem, `slide ${Math.floor(Math.sqrt(2 * i))}`]));

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-strategies-"));
});
afterAll(() => rm(folder, { recursive: true }));

function whole({ train, val, test = [] }: Splits): string[] {
  return [...train, ...val, ...test].sort();
}

describe("TrainValSplitStrategy", () => {
  const ten = Array.from({ length: 10 }, (_, i) => `image_${i}`);

  it("makes one split with 30 % of the images in validation, the same for the same seed", async () => {
    const [split, ...more] = await new TrainValSplitStrategy().prepareSplits(ten);
    expect(more).toEqual([]);
    expect(split?.seed).toBe(23);
    expect(split?.val).toHaveLength(3);
    expect([...(split?.train ?? []), ...(split?.val ?? [])].sort()).toEqual(ten);
    expect(await new TrainValSplitStrategy().prepareSplits(ten)).toEqual([split]);
    expect(await new TrainValSplitStrategy({ randomSeed: 24 }).prepareSplits(ten)).not.toEqual([split]);
    expect((await new TrainValSplitStrategy({ valRatio: 0.5 }).prepareSplits(ten))[0]?.val).toHaveLength(5);
  });

  it("reads a splits file instead of drawing, and checks it", async () => {
    const splits = join(folder, "one-split.json");
    await writeFile(splits, JSON.stringify({ seed: 1, train: ["image_1"], val: ["image_0"] }));
    const strategy = new TrainValSplitStrategy({ splits });
    expect(await strategy.prepareSplits(ten)).toEqual([{ seed: 1, train: ["image_1"], val: ["image_0"] }]);
    await expect(strategy.prepareSplits(["image_0"])).rejects.toMatchObject({ code: "ERR_SPLIT" });
  });

  it("refuses to split a single image", async () => {
    await expect(new TrainValSplitStrategy().prepareSplits(["only"])).rejects.toMatchObject({ code: "ERR_SPLIT" });
  });
});

describe("KFoldStrategy", () => {
  it("D12: every image is validated exactly once, and trains in all other folds", async () => {
    for (const k of [2, 5, 23]) {
      const strategy = new KFoldStrategy({ k });
      const folds = await strategy.prepareSplits(sources);
      expect(strategy.name).toBe(`${k}_fold_cv`);
      expect(folds).toHaveLength(k);
      expect(folds.flatMap(({ val }) => val).sort()).toEqual(sources);
      for (const split of folds) expect(whole(split)).toEqual(sources);
      const sizes = folds.map(({ val }) => val.length);
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
    }
  });

  it("draws by the seed alone, whatever the order of the images", async () => {
    const folds = await new KFoldStrategy().prepareSplits(sources);
    expect(folds).toHaveLength(5);
    expect(await new KFoldStrategy({ kFolds: 5 }).prepareDataSplits([...sources].reverse())).toEqual(folds);
    expect(await new KFoldStrategy({ randomSeed: 24 }).prepareSplits(sources)).not.toEqual(folds);
    expect(folds[0]?.val).not.toEqual(sources.slice(0, 5));
  });

  it("D10: never divides a group, and keeps folds even", async () => {
    for (let randomSeed = 0; randomSeed < 20; randomSeed++) {
      const folds = await new KFoldStrategy({ k: 3, groups: slides, randomSeed }).prepareSplits(sources);
      expect(folds.flatMap(({ val }) => val).sort()).toEqual(sources);
      for (const { train, val } of folds) {
        const training = new Set(train.map((stem) => slides[stem]));
        for (const stem of val) expect(training.has(slides[stem] as string)).toBe(false);
      }
      const sizes = folds.map(({ val }) => val.length);
      // 23 images in 7 slides of up to 6: as even as dealing out the largest first can make them.
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(2);
    }
  });

  it("refuses more folds than groups, and contradicting options (D13)", async () => {
    const refused = { code: "ERR_SPLIT" };
    await expect(new KFoldStrategy({ k: 24 }).prepareSplits(sources)).rejects.toMatchObject(refused);
    await expect(new KFoldStrategy({ k: 8, groups: slides }).prepareSplits(sources)).rejects.toThrow(/8 groups, there is 7/);
    await expect(new KFoldStrategy({ k: 5, testRatio: 0.9 }).prepareSplits(sources.slice(0, 5))).rejects.toMatchObject(refused);
    expect(() => new KFoldStrategy({ k: 3, kFolds: 4 })).toThrow(/give one of them/);
    expect(() => new KFoldStrategy({ k: 1 })).toThrow(/from 2/);
    expect(() => new KFoldStrategy({ valRatio: 0.3 } as never)).toThrow(/unknown option valRatio/);
  });

  it("D28: holds out a test that is the same in all folds and on no other side", async () => {
    const folds = await new KFoldStrategy({ k: 4, testRatio: 0.2 }).prepareSplits(sources);
    const [first] = folds;
    expect(first?.test).toHaveLength(5);
    for (const split of folds) {
      expect(split.test).toEqual(first?.test);
      expect(whole(split)).toEqual(sources);
    }
    expect(folds.flatMap(({ val }) => val)).toHaveLength(18);
    const named = await new KFoldStrategy({ k: 3, groups: slides, testGroups: ["slide 6"] }).prepareSplits(sources);
    expect(named[0]?.test).toEqual(sources.filter((stem) => slides[stem] === "slide 6"));
    const nobody = new KFoldStrategy({ groups: slides, testGroups: ["slide 9"] });
    await expect(nobody.prepareSplits(sources)).rejects.toThrow(/no group slide 9/);
  });

  it("keeps images that show the same in one fold, with all of their groups", async () => {
    const duplicates = [["image_00", "image_22"]];
    for (let randomSeed = 0; randomSeed < 10; randomSeed++) {
      const folds = await new KFoldStrategy({ k: 5, randomSeed }).prepareSplits(sources, { duplicates });
      const holder = folds.find(({ val }) => val.includes("image_00"));
      expect(holder?.val).toContain("image_22");
      const grouped = await new KFoldStrategy({ k: 3, groups: slides, randomSeed }).prepareSplits(sources, { duplicates });
      const both = sources.filter((stem) => [slides.image_00, slides.image_22].includes(slides[stem] as string));
      expect(grouped.find(({ val }) => val.includes("image_00"))?.val).toEqual(expect.arrayContaining(both));
    }
  });
});

describe("other strategies", () => {
  it("leave one group out, in the order of the groups", async () => {
    const folds = await new LeaveOneGroupOutStrategy({ groups: slides }).prepareSplits(sources);
    expect(folds).toHaveLength(7);
    expect(folds.map(({ val }) => slides[val[0] as string])).toEqual([...new Set(Object.values(slides))].sort());
    expect(folds.flatMap(({ val }) => val).sort()).toEqual(sources);
    expect(() => new LeaveOneGroupOutStrategy()).toThrow(/groups/);
  });

  it("train on everything but the test", async () => {
    const [split, ...more] = await new FullDatasetStrategy({ testRatio: 0.1 }).prepareSplits(sources);
    expect(more).toEqual([]);
    expect(split).toMatchObject({ seed: 23, val: [] });
    expect(split?.test).toHaveLength(2);
    expect(whole(split as Splits)).toEqual(sources);
    expect((await new FullDatasetStrategy().prepareSplits(["one"]))[0]).toEqual({ seed: 23, train: ["one"], val: [] });
  });

  it("split in three, with groups on one side", async () => {
    for (let randomSeed = 0; randomSeed < 20; randomSeed++) {
      const [split] = await new TrainValSplitStrategy({ testRatio: 0.2, groups: slides, randomSeed }).prepareSplits(sources);
      expect(() => checkFolds([split as Splits], sources, { groups: slides })).not.toThrow();
      expect(whole(split as Splits)).toEqual(sources);
      expect(split?.test?.length).toBeGreaterThanOrEqual(5);
    }
  });

  it("come from the configuration, k_fold with five folds by default", () => {
    const base = { imgPath: "i", maskPath: "m", outputName: "o" };
    const make = (more: object) => configuredStrategy(new ExperimentConfig({ ...base, ...more }));
    expect(make({})).toMatchObject({ name: "5_fold_cv", k: 5, randomSeed: 23 });
    expect(make({ strategy: "k_fold", kFolds: 3, splitSeed: 1 })).toMatchObject({ name: "3_fold_cv", randomSeed: 1 });
    expect(make({ strategy: "train_val_split", valRatio: 0.2 })).toMatchObject({ name: "train_val_split", valRatio: 0.2 });
    expect(make({ strategy: "full_dataset", testRatio: 0.1 })).toMatchObject({ name: "full_dataset", testRatio: 0.1 });
    expect(make({ strategy: "leave_one_group_out", groups: "g.csv" })).toMatchObject({ name: "leave_one_group_out" });
    expect(() => make({ strategy: "leave_one_group_out" })).toThrow(/groups/);
    expect(() => make({ testGroups: ["a"] })).toThrow(/needs `groups`/);
    expect(() => make({ splits: "s.json", testRatio: 0.2 })).toThrow(/testRatio: has no effect/);
    expect(() => make({ kFolds: 1 })).toThrow(/kFolds/);
  });

  it("execute, keep and save their results; one failure of several is recorded", async () => {
    const strategy = new KFoldStrategy({ k: 3 });
    const splits = await strategy.prepareSplits(sources);
    const results = await strategy.executeTraining(async (fold) => {
      if (fold === 2) throw new Error("no luck");
      return { fold, evaluation: { f1: fold / 4, counts: { truth: 3 } } };
    }, splits);
    expect(results.map(({ error }) => error?.message)).toEqual([undefined, "no luck", undefined]);
    expect(strategy.getResults()).toEqual(results);
    // Of 0.25 and 0.75: sample deviation (D88), 0.5 / sqrt(2).
    expect(strategy.aggregateResults().f1).toMatchObject({
      n: 2,
      mean: 0.5,
      std: Math.sqrt(0.125),
      valuesPerFold: [0.25, 0.75],
    });
    await strategy.saveResults(join(folder, "results.json"));
    expect(await readJson(join(folder, "results.json"))).toMatchObject({
      strategy: "3_fold_cv",
      results: [{ fold: 1 }, {}, {}],
    });
    let text = "";
    strategy.printSummary((line) => {
      text += line;
    });
    expect(text).toContain("f1: 0.5000 ± 0.3536 (n = 2)");
    const broken = strategy.executeTraining(() => Promise.reject(new Error("never")), splits);
    await expect(broken).rejects.toThrow("never");
  });
});

describe("splits.json with folds", () => {
  const fold = (train: string[], val: string[], test?: string[]) => ({ seed: 1, train, val, ...(test && { test }) });
  const write = async (content: unknown) => {
    await writeFile(join(folder, "splits.json"), JSON.stringify(content));
    return join(folder, "splits.json");
  };

  it("is used by the strategy that it suits", async () => {
    const folds = [fold(["a"], ["b"]), fold(["b"], ["a"])];
    const splits = await write(folds);
    const strategy = new KFoldStrategy({ splits });
    expect(await strategy.prepareSplits(["a", "b"])).toEqual(folds);
    expect(strategy.name).toBe("2_fold_cv");
    await expect(new TrainValSplitStrategy({ splits }).prepareSplits(["a", "b"])).rejects.toThrow(/use it with the strategy/);
    await write(folds[0]);
    await expect(strategy.prepareSplits(["a", "b"])).rejects.toThrow(/train_val_split/);
    expect(await new FullDatasetStrategy({ splits }).prepareSplits(["a", "b"])).toEqual([
      { seed: 1, train: ["a", "b"], val: [] },
    ]);
  });

  it("is refused when a fold trains on another fold's test, or a group is divided", async () => {
    const names = ["a", "b", "c"];
    const leaking = await write([fold(["a"], ["b"], ["c"]), fold(["c"], ["a"])]);
    await expect(readFolds(leaking, names)).rejects.toThrow(/fold 2 uses test images of another fold: c/);
    const splits = await write([fold(["a"], ["b"]), fold(["b"], ["a", "c"])]);
    const divided = new KFoldStrategy({ splits, groups: { a: "x", b: "y", c: "y" } });
    await expect(divided.prepareSplits(names)).rejects.toThrow(/the group y is in train and in val/);
    const empty = await write([fold(["a"], []), fold(["b"], ["a"])]);
    await expect(readFolds(empty, names)).rejects.toThrow(/val is empty/);
  });
});

describe("groups files", () => {
  const names = ["a.b", "c", "d"];
  it.each([
    ["plain.csv", "a.b,x\nc,x\nd,y\nelse,z\n"],
    ["header.csv", '\ufeffstem,source,group\na.b.png,1,x\n"c",2,x\nd.tif,3,y\n'],
    ["semicolon.csv", "image;group\na.b;x\nc;x\nd;y\n"],
    ["tabs.tsv", "a.b\tx\nc\tx\nd\ty\n"],
    ["images.json", '{"a.b": "x", "c.png": "x", "d": "y"}'],
    ["groups.yaml", "x: [a.b, c]\ny: [d.png]\n"],
    ["excel.csv", "\uFEFFsep=;\r\nimage;group\r\na.b;x\r\nc;x\r\nd;y\r\n"],
    ["comma.csv", "sep=,\na.b,x\nc,x\nd,y\n"],
    ["bar.txt", '"sep=|"\na.b|x\nc|x\nd|y\n'],
  ])("%s is read", async (name, text) => {
    await writeFile(join(folder, name), text);
    expect({ ...(await readGroups(join(folder, name), names)) }).toEqual({ "a.b": "x", c: "x", d: "y" });
  });

  it.each([
    ["missing.csv", "a.b,x\nc,x\n", /no group for 1 of 3 images: d/],
    ["twice.csv", "a.b,x\nc,x\nd,y\nd.png,x\n", /puts d into two groups, y and x/],
    ["short.csv", "a.b,x\nc\nd,y\n", /no table|row 2/],
    ["list.json", "[1]", /must map/],
    ["broken.json", "{", /does not parse/],
    ["deep.yaml", "x: {y: 1}\n", /must map/],
  ])("%s is refused", async (name, text, message) => {
    await writeFile(join(folder, name), text);
    await expect(readGroups(join(folder, name), names)).rejects.toThrow(message);
    await expect(readGroups(join(folder, name), names)).rejects.toMatchObject({ code: "ERR_SPLIT" });
  });
});

describe("near-duplicates of two groups", () => {
  const groups = { a: "s7", b: "s8", c: "s9", d: "s10", e: "s9" };
  const duplicates = [
    ["a", "b"],
    ["c", "e"],
  ];

  it("hold out the whole of a test group by its own name, with what is joined to it", async () => {
    const strategy = new TrainValSplitStrategy({ groups, testGroups: ["s7"] });
    const [split] = await strategy.prepareSplits(["a", "b", "c", "d", "e"], { duplicates });
    expect(split?.test).toEqual(["a", "b"]);
    const both = new TrainValSplitStrategy({ groups, testGroups: ["s8", "s7"] });
    expect((await both.prepareSplits(["a", "b", "c", "d", "e"], { duplicates }))[0]?.test).toEqual(["a", "b"]);
    const unknown = new TrainValSplitStrategy({ groups, testGroups: ["s70"] });
    await expect(unknown.prepareSplits(["a", "b", "c", "d", "e"], { duplicates })).rejects.toThrow(/there is no group s70/);
  });

  it("keep the names of their groups", async () => {
    const folds = await new LeaveOneGroupOutStrategy({ groups }).prepareSplits(["a", "b", "c", "d", "e"], { duplicates });
    expect(folds.map(({ note }) => note)).toEqual(["validates group s10", "validates group s7 + s8", "validates group s9"]);
  });
});
