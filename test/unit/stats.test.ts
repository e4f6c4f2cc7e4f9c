import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Random } from "../../lib/data/random.js";
import { writeJson } from "../../lib/files/json.js";
import { comparePaired } from "../../lib/stats/compare.js";
import { compareExperiments } from "../../lib/stats/experiments.js";
import { correctedT, effectSize, holm, pairedT, wilcoxon } from "../../lib/stats/significance.js";
import { bootstrapInterval, describe as describeValues } from "../../lib/stats/summary.js";

const python = process.env.CELLSAM_PYTHON ?? "python3";

/** What the code in `body`, which sees `cases` and fills `out`, prints. */
function scipy<T>(cases: unknown, body: string): T[] {
  const code = `import json, sys\nimport numpy as np\nfrom scipy import stats, special\ncases = json.load(sys.stdin)\nout = []\n${body}\nprint(json.dumps(out))`;
  return JSON.parse(execFileSync(python, ["-c", code], { input: JSON.stringify(cases), encoding: "utf8" })) as T[];
}

const random = new Random(7);
const draw = (n: number, shift = 0) => Array.from({ length: n }, () => shift + random.normal() / 10);
/** With ties and zeros, as rounded metrics have. */
const rounded = (n: number) => Array.from({ length: n }, () => Math.round(3 * random.normal()) / 10);
const plain = [draw(2), draw(3, 0.05), draw(5), draw(5, 0.2), draw(10, -0.1), draw(30, 0.02)];

describe("over folds", () => {
  it("D88: mean, sample deviation and t interval are scipy's", () => {
    const rows = scipy<number[]>(
      plain,
      "for v in cases:\n  i = stats.t.interval(.95, len(v) - 1, np.mean(v), stats.sem(v))\n  out.append([np.mean(v), np.std(v, ddof=1), np.median(v), *i])",
    );
    for (const [i, values] of plain.entries()) {
      const { mean, std, median, ci95T } = describeValues(values);
      for (const [j, value] of [mean, std, median, ...(ci95T ?? [])].entries())
        expect(value).toBeCloseTo(rows[i]?.[j] as number, 8);
    }
    expect(describeValues([0.5])).toMatchObject({ n: 1, mean: 0.5, std: null, ci95T: null, ci95Bootstrap: null });
    expect(describeValues([null, Number.NaN])).toMatchObject({ n: 0, mean: null });
    expect(describeValues([0.1, 0.1, 0.1])).toMatchObject({
      std: 0,
      ci95Bootstrap: [expect.closeTo(0.1), expect.closeTo(0.1)],
    });
  });

  it("the bootstrap interval of values that differ by rounding only is their mean", () => {
    for (const values of [
      [0.3, 0.3, 0.1 + 0.2],
      [1, 1, 1, 1, 1 - 1e-16],
    ]) {
      const { mean, ci95Bootstrap } = describeValues(values);
      expect(ci95Bootstrap).toEqual([mean, mean]);
    }
    expect(describeValues(new Array(200_000).fill(0.5)).std).toBe(0);
  });

  it("the bootstrap interval is scipy's BCa but for chance, and the same for the same seed", () => {
    const cases = plain.slice(2);
    const rows = scipy<number[]>(
      cases,
      "for v in cases:\n  r = stats.bootstrap((np.array(v),), np.mean, n_resamples=100000, method='BCa', rng=np.random.default_rng(1))\n  out.append([r.confidence_interval.low, r.confidence_interval.high])",
    );
    for (const [i, values] of cases.entries()) {
      const { std } = describeValues(values);
      const interval = bootstrapInterval(values, 0);
      // 10000 resamples: the ends vary by a few hundredths of a standard error.
      const tolerance = (0.12 * (std as number)) / Math.sqrt(values.length);
      for (const [j, end] of interval.entries()) expect(Math.abs(end - (rows[i]?.[j] as number))).toBeLessThan(tolerance);
      expect(bootstrapInterval(values, 0)).toEqual(interval);
      if (values.length === 30) expect(bootstrapInterval(values, 1)).not.toEqual(interval);
    }
  });
});

describe("tests of paired differences", () => {
  it("paired t is scipy's ttest_1samp, and Hedges' correction the exact one", () => {
    const rows = scipy<number[]>(
      plain,
      `for v in cases:
  r = stats.ttest_1samp(v, 0)
  df = len(v) - 1
  j = float(np.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / np.sqrt(df / 2)) if df > 1 else 0
  d = np.mean(v) / np.std(v, ddof=1)
  out.append([r.statistic, r.pvalue, d, d * j])`,
    );
    for (const [i, values] of plain.entries()) {
      const [t, p, d, g] = rows[i] as number[];
      expect(pairedT(values)).toMatchObject({
        t: expect.closeTo(t as number, 8),
        p: expect.closeTo(p as number, 6),
        df: values.length - 1,
      });
      const { cohensDz, hedgesG } = effectSize(values);
      expect(cohensDz).toBeCloseTo(d as number, 8);
      if (values.length > 2) expect(hedgesG).toBeCloseTo(g as number, 7);
    }
  });

  it("the corrected resampled t uses (1/k + n_val/n_train) s², by hand", () => {
    // Differences 1, 2, 3, 4, 5: mean 3, s² 2.5. Five folds: 1/5 + 1/4 = 0.45; t = 3 / sqrt(0.45 * 2.5) = 2.8284...
    const { t, df, p } = correctedT([1, 2, 3, 4, 5], 1 / 4);
    expect(t).toBeCloseTo(Math.sqrt(8), 12);
    const [expected] = scipy<number>([Math.sqrt(8)], "out = [2 * stats.t.sf(cases[0], 4)]");
    expect([df, p]).toEqual([4, expect.closeTo(expected as number, 7)]);
    expect(p).toBeGreaterThan(pairedT([1, 2, 3, 4, 5]).p as number);
  });

  it("Wilcoxon's is scipy's: exact without ties, over all sign patterns with them, normal for many", () => {
    const cases = [
      ...plain,
      rounded(6),
      rounded(9),
      rounded(12),
      [0, 0, 1, -1, 2],
      [1, 1, 1, 1, 1],
      rounded(80),
      draw(60, 0.02),
    ];
    const rows = scipy<{ w: number; p: number; n: number }>(
      cases,
      `for v in cases:
  v = np.array(v); v = v[v != 0]; n = len(v)
  if n > 50: r = stats.wilcoxon(v, method='approx', correction=False)
  elif len(set(np.abs(v))) == n: r = stats.wilcoxon(v, method='exact')
  else:
    # All sign patterns, counted out.
    ranks = stats.rankdata(np.abs(v)); signs = np.array(np.meshgrid(*[[0, 1]] * n)).reshape(n, -1)
    sums = ranks @ signs; w = min(ranks[v > 0].sum(), ranks[v < 0].sum())
    class r: statistic = w; pvalue = min(1, 2 * np.mean(sums <= w + 1e-9))
  out.append({'w': float(r.statistic), 'p': float(r.pvalue), 'n': n})`,
    );
    for (const [i, values] of cases.entries()) {
      const { w, p, n } = rows[i] as { w: number; p: number; n: number };
      expect(wilcoxon(values), String(values)).toMatchObject({ statistic: w, n, p: expect.closeTo(p, 7) });
    }
    expect(wilcoxon([1, 2, 3, 4, 5])).toMatchObject({ p: 0.0625, smallestP: 0.0625 });
    expect(wilcoxon([0, 0])).toMatchObject({ p: null, n: 0 });
  });

  it("Holm's correction is step-down, by hand, and ignores tests that could not be made", () => {
    expect(holm([0.01, 0.04, 0.03, null, 0.005])).toEqual(
      [0.03, 0.06, 0.06, null, 0.02].map((p) => (p === null ? null : expect.closeTo(p, 12))),
    );
    expect(holm([0.9, 0.8])).toEqual([1, 1]);
  });

  it("equal differences prove nothing", () => {
    expect(pairedT([0.3 - 0.2, 0.4 - 0.3, 0.5 - 0.4])).toMatchObject({ t: null, p: null });
    expect(pairedT([0, 0, 0])).toMatchObject({ p: 1 });
    expect(effectSize([0.1, 0.1])).toEqual({ cohensDz: null, hedgesG: null });
  });
});

describe("a comparison", () => {
  const folds = (values: number[]) => values.map((f1) => ({ f1, ap50: f1 / 2, other: f1 }));
  const before = folds([0.5, 0.52, 0.48, 0.51, 0.49]);

  it("tells better, worse and not enough evidence, and what five folds cannot show", () => {
    const options = { unit: "fold", valOverTrain: 0.25 } as const;
    const gain = (by: number[]) => comparePaired(before, folds(before.map(({ f1 }, i) => f1 + (by[i] as number))), options);
    const clear = gain([0.2, 0.21, 0.19, 0.22, 0.2]);
    expect(Object.keys(clear.metrics)).toEqual(["f1", "ap50"]);
    expect(clear.metrics.f1).toMatchObject({ verdict: "better", wilcoxon: { p: 0.0625 } });
    expect(clear.notes.join()).toContain("cannot be below 0.0625");
    expect(gain([-0.2, -0.21, -0.19, -0.22, -0.2]).metrics.f1?.verdict).toBe("worse");
    const noise = gain([0.02, -0.01, 0.03, -0.02, 0.01]);
    expect(noise.metrics.f1?.verdict).toBe("not enough evidence");
    expect(noise.notes.join()).toContain("not enough evidence for a difference in any metric");
    // Significant by the plain t test only: folds share training images.
    const tempting = gain([0.05, 0.02, 0.06, 0.01, 0.05]);
    expect(tempting.metrics.f1?.pairedT.p).toBeLessThan(0.025);
    expect(tempting.metrics.f1?.verdict).toBe("not enough evidence");
    expect(gain([0, 0, 0, 0, 0]).metrics.f1).toMatchObject({ verdict: "not enough evidence", cohensDz: null });
    expect(comparePaired(before.slice(1, 2), before.slice(1, 2), options).notes).toContain(
      "one fold is not enough for any test",
    );
  });

  describe("of two experiments", () => {
    let root = "";
    beforeAll(async () => {
      root = await mkdtemp(join(tmpdir(), "cellsam-compare-"));
    });
    afterAll(() => rm(root, { recursive: true }));

    const write = async (name: string, f1: number[], seed: number, more: object = {}) => {
      const images = f1.map((_, i) => `image_${i}`);
      const splits = images.map((val) => ({ seed, train: images.filter((stem) => stem !== val), val: [val] }));
      const results = f1.map((value, i) => ({
        fold: i + 1,
        train_images: 4,
        val_images: 1,
        evaluation: { f1: value },
        error: null,
        ...more,
      }));
      await writeJson(join(root, name, "splits.json"), seed === 1 ? splits : [...splits].reverse());
      await writeJson(join(root, name, "results", "individual_results.json"), results);
      const rows = f1.map((value, i) => ({ fold: i + 1, image: images[i], metrics: { f1: value }, mean_prompt_iou: null }));
      await writeJson(join(root, name, "results", "per_image.json"), rows);
      return join(root, name);
    };

    it("pairs folds of the same splits, and the same images", async () => {
      const a = await write("a", [0.5, 0.52, 0.48, 0.51, 0.49], 1);
      const b = await write("b", [0.7, 0.73, 0.67, 0.72, 0.69], 1);
      const { folds: byFold, images } = await compareExperiments(a, b);
      expect(byFold).toMatchObject({ n: 5, valOverTrain: 0.25, metrics: { f1: { verdict: "better" } } });
      expect(images).toMatchObject({
        unit: "image",
        n: 5,
        metrics: { f1: { correctedT: null, verdict: "not enough evidence" } },
      });
      const other = await compareExperiments(a, await write("c", [0.7, 0.73, 0.67, 0.72, 0.69], 2));
      expect(other.folds).toBeNull();
      expect(other.notes).toEqual(["the splits differ, so folds are not paired"]);
      expect(other.images?.metrics.f1?.differences).toEqual(images?.metrics.f1?.differences);
    });

    it("refuses what cannot be paired, and folders without results", async () => {
      const a = await write("a", [0.5, 0.5], 1);
      const b = await write("d", [0.5, 0.5, 0.5], 1);
      await expect(compareExperiments(a, b)).rejects.toMatchObject({ code: "ERR_CONFIG" });
      await expect(compareExperiments(a, join(root, "none"))).rejects.toThrow(/no finished experiment/);
    });
  });
});
