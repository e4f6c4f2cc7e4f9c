import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { trainValSplit } from "../../lib/data/draw.js";
import { Random } from "../../lib/data/random.js";
import { checkSplits, readSplits } from "../../lib/data/split.js";

const sources = Array.from({ length: 10 }, (_, i) => `s${i}`);

describe("trainValSplit", () => {
  it("divides all sources, the same way for the same seed and any order", () => {
    const one = trainValSplit({ sources, valRatio: 0.3, seed: 23 });
    expect([...one.train, ...one.val].sort()).toEqual(sources);
    expect(one.val).toHaveLength(3);
    expect(trainValSplit({ sources: [...sources].reverse(), valRatio: 0.3, seed: 23 })).toEqual(one);
    const others = Array.from({ length: 20 }, (_, seed) => trainValSplit({ sources, valRatio: 0.3, seed }).val.join());
    expect(new Set(others).size).toBeGreaterThan(10);
  });

  it("draws every source equally often", () => {
    const hits = new Map<string, number>();
    for (let seed = 0; seed < 2000; seed++)
      for (const stem of trainValSplit({ sources, valRatio: 0.3, seed }).val) hits.set(stem, (hits.get(stem) ?? 0) + 1);
    // Expected 600 each, standard deviation 20.5.
    for (const count of hits.values()) expect(Math.abs(count - 600)).toBeLessThan(95);
    expect(hits.size).toBe(10);
  });

  it("keeps both sides filled, and groups together", () => {
    expect(trainValSplit({ sources: ["a", "b"], valRatio: 0.01, seed: 1 }).val).toHaveLength(1);
    expect(trainValSplit({ sources: ["a", "b"], valRatio: 0.99, seed: 1 }).train).toHaveLength(1);
    // One group holds nearly everything: drawn last or not, it must leave something to train on.
    const lopsided = Object.fromEntries(sources.slice(1).map((stem) => [stem, "large"]));
    for (let seed = 0; seed < 10; seed++)
      expect(trainValSplit({ sources, valRatio: 0.9, seed, groups: lopsided }).train).not.toHaveLength(0);
    const groups = Object.fromEntries(sources.slice(0, 8).map((stem, i) => [stem, `slide${i % 3}`]));
    for (let seed = 0; seed < 50; seed++) {
      const { train, val } = trainValSplit({ sources, valRatio: 0.3, seed, groups });
      expect(train.length * val.length).toBeGreaterThan(0);
      const sides = (stems: string[]) => new Set(stems.map((stem) => groups[stem]).filter(Boolean));
      for (const group of sides(val)) expect(sides(train).has(group)).toBe(false);
    }
  });

  it("refuses what cannot be divided", () => {
    const cases: [RegExp, Parameters<typeof trainValSplit>[0]][] = [
      [/between 0 and 1/, { sources, valRatio: 1, seed: 1 }],
      [/at least two images/, { sources: ["a"], valRatio: 0.5, seed: 1 }],
      [/at least two groups/, { sources: ["a", "b"], valRatio: 0.5, seed: 1, groups: { a: "x", b: "x" } }],
      [/duplicates: a/, { sources: ["a", "b", "a"], valRatio: 0.5, seed: 1 }],
      [/do not exist: z/, { sources, valRatio: 0.5, seed: 1, groups: { z: "x" } }],
    ];
    for (const [message, options] of cases) expect(() => trainValSplit(options)).toThrow(message);
  });
});

describe("splits.json", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "cellsam-split-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it("is read as it was written", async () => {
    const splits = { ...trainValSplit({ sources, valRatio: 0.3, seed: 5 }), note: "by hand" };
    await writeFile(join(folder, "splits.json"), JSON.stringify(splits));
    expect(await readSplits(join(folder, "splits.json"), sources)).toEqual(splits);
    await expect(readSplits(join(folder, "splits.json"), sources.slice(1))).rejects.toThrow(/do not exist: s0/);
  });

  it("is checked strictly", async () => {
    const bad: [string, RegExp][] = [
      ["{", /cannot be read as JSON/],
      ["[]", /there is none/],
      ["[3]", /fold 1 must hold an object/],
      ['{"seed":1,"train":["s1"],"val":["s2"],"vall":[]}', /unknown keys: vall/],
      ['{"seed":1,"train":["s1"],"val":[2]}', /val must be a list/],
      ['{"seed":"x","train":["s1"],"val":["s2"]}', /seed must be/],
      ['{"seed":1,"train":["s1"],"val":["s1"]}', /s1 is in train and in val/],
      ['{"seed":1,"train":["s1"],"val":["s2"],"test":["s2"]}', /s2 is in val and in test/],
      ['{"seed":1,"train":["s1"],"val":[]}', /val is empty/],
      ['{"seed":1,"train":["s1","s1"],"val":["s2"]}', /s1 is in train and in train/],
    ];
    for (const [text, message] of bad) {
      await writeFile(join(folder, "bad.json"), text);
      await expect(readSplits(join(folder, "bad.json"), sources), text).rejects.toThrow(message);
      await expect(readSplits(join(folder, "bad.json"), sources)).rejects.toMatchObject({ code: "ERR_SPLIT" });
    }
    expect(() => checkSplits({ seed: 1, train: ["s1"], val: ["s2"] }, sources)).not.toThrow();
  });
});

describe("Random", () => {
  it("has the moments of its distributions", () => {
    const random = new Random(1);
    const n = 100_000;
    const uniform = Array.from({ length: n }, () => random.uniform());
    const normal = Array.from({ length: n }, () => random.normal());
    const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    expect(mean(uniform)).toBeCloseTo(0.5, 2);
    expect(mean(uniform.map((value) => value * value))).toBeCloseTo(1 / 3, 2);
    expect(Math.abs(mean(normal))).toBeLessThan(0.013);
    expect(mean(normal.map((value) => value ** 2))).toBeCloseTo(1, 1);
    expect(mean(normal.map((value) => value ** 4))).toBeCloseTo(3, 0);
    expect(Math.min(...uniform.slice(0, 1000))).toBeGreaterThanOrEqual(0);
  });

  it("gives different numbers for seeds that differ only in their high half", () => {
    expect(new Random(1).uniform()).not.toBe(new Random(1 + 2 ** 32).uniform());
    expect(() => new Random(-1)).toThrow();
    expect(() => new Random(0.5)).toThrow();
  });
});
