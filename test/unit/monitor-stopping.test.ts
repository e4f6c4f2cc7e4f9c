// The rules that stop a training early: plain patience, patience that grows while progress is slow, and votes of several metrics.
import { describe, expect, it } from "vitest";
import { EarlyStopping } from "../../lib/monitor/earlyStopping.js";
import { AdaptiveEarlyStopping, MultiMetricEarlyStopping } from "../../lib/python/adaptiveStopping.js";

/** Feeds scores until it stops; the 1-based number of the last, or null. */
function stopsAt(stopping: { update(score: number, epoch: number): boolean }, scores: number[]): number | null {
  const at = scores.findIndex((score, i) => stopping.update(score, i + 1));
  return at < 0 ? null : at + 1;
}

describe("EarlyStopping", () => {
  it("stops after `patience` scores without improvement", () => {
    const stopping = new EarlyStopping({ patience: 2 });
    expect(stopsAt(stopping, [5, 4, 4.5, 4.1, 1])).toBe(4);
    expect(stopping.getInfo()).toEqual({
      patience: 2,
      minDelta: 0,
      mode: "min",
      wait: 2,
      bestScore: 4,
      stoppedEpoch: 4,
      shouldStop: true,
    });
  });

  it("D53: with patience 0 stops at the first score that does not improve, not at the first score", () => {
    expect(stopsAt(new EarlyStopping({ patience: 0 }), [5, 4, 3, 3])).toBe(4);
  });

  it("D53: never takes NaN or infinity as best, and counts them as no improvement", () => {
    const stopping = new EarlyStopping({ patience: 3 });
    expect(stopsAt(stopping, [Number.NaN, Number.NEGATIVE_INFINITY, 5, 4])).toBeNull();
    expect(stopping.getBestScore()).toBe(4);
    expect(stopsAt(new EarlyStopping({ patience: 2 }), [Number.NaN, Number.NaN])).toBe(2);
    expect(stopsAt(new EarlyStopping({ patience: 0 }), [Number.NaN])).toBe(1);
  });

  it("asks for more than |minDelta|, in the direction of its mode", () => {
    expect(stopsAt(new EarlyStopping({ patience: 1, minDelta: -0.5 }), [5, 4.5])).toBe(2);
    expect(stopsAt(new EarlyStopping({ patience: 1, minDelta: 0.5 }), [5, 4.4, 3.8])).toBeNull();
    expect(stopsAt(new EarlyStopping({ patience: 1, mode: "max" }), [0.1, 0.2, 0.15])).toBe(3);
    expect(() => new EarlyStopping({ mode: "best" as never })).toThrow(/min or max/);
  });

  it("goes on from a saved state as if nothing had happened", () => {
    const scores = [5, 4, 4.2, 4.1, 3.9, 4, 4, 4];
    for (let cut = 0; cut < scores.length; cut++) {
      const whole = new EarlyStopping({ patience: 3 });
      const before = new EarlyStopping({ patience: 3 });
      scores.slice(0, cut).map((score, i) => before.update(score, i + 1));
      const after = new EarlyStopping({ patience: 3 });
      after.restore(JSON.parse(JSON.stringify(before.state())));
      scores.map((score, i) => whole.update(score, i + 1));
      scores.slice(cut).map((score, i) => after.update(score, cut + i + 1));
      expect(after.getInfo()).toEqual(whole.getInfo());
    }
  });
});

describe("AdaptiveEarlyStopping", () => {
  it("is patient for longer, once, when little was gained in ten scores", () => {
    // Gains of .01 are under half of minDelta: patience 4 becomes 6, and the wait began at the second score.
    const slow = Array.from({ length: 40 }, (_, i) => 1 - 0.01 * i);
    const patient = { basePatience: 12, minDelta: 1, factor: 1.5 };
    expect(stopsAt(new AdaptiveEarlyStopping(patient), slow)).toBe(1 + 18);
    expect(stopsAt(new AdaptiveEarlyStopping({ ...patient, factor: 1 }), slow)).toBe(1 + 12);
    expect(stopsAt(new AdaptiveEarlyStopping({ ...patient, factor: 9, maxPatience: 14 }), slow)).toBe(1 + 14);
  });

  it("D53: adapts with minDelta 0 too, when nothing was gained", () => {
    expect(stopsAt(new AdaptiveEarlyStopping({ basePatience: 10, factor: 2 }), Array(50).fill(3))).toBe(1 + 20);
  });

  it("leaves patience alone while the scores move enough", () => {
    const jumpy = Array.from({ length: 60 }, (_, i) => (i === 0 ? 0 : i % 2 ? 9 : 4));
    expect(stopsAt(new AdaptiveEarlyStopping({ basePatience: 15, minDelta: 0.1 }), jumpy)).toBe(1 + 15);
  });

  it("starts anew after reset", () => {
    const stopping = new AdaptiveEarlyStopping({ basePatience: 10, factor: 2, mode: "max" });
    expect(stopsAt(stopping, Array(50).fill(3))).toBe(21);
    stopping.reset();
    expect(stopping.getInfo()).toMatchObject({ patience: 10, wait: 0, bestScore: null, mode: "max" });
    expect(stopsAt(stopping, Array(50).fill(3))).toBe(21);
    expect(() => new AdaptiveEarlyStopping({ factor: 0.5 })).toThrow(/factor/);
  });
});

describe("MultiMetricEarlyStopping", () => {
  const metrics = { loss: { mode: "min", weight: 1 }, f1: { mode: "max", weight: 3 } } as const;
  /** The loss improves until epoch `loss`, F1 until epoch `f1`. */
  const run = (rule: "any" | "all" | "weighted", loss: number, f1: number) => {
    const stopping = new MultiMetricEarlyStopping(metrics, { patience: 2, rule });
    for (let epoch = 1; epoch <= 30; epoch++) {
      if (stopping.update({ loss: -Math.min(epoch, loss), f1: Math.min(epoch, f1) }, epoch)) return epoch;
    }
    return null;
  };

  it("stops by the first, by all, or by half of the weight", () => {
    expect(run("any", 3, 9)).toBe(5);
    expect(run("all", 3, 9)).toBe(11);
    expect(run("weighted", 3, 9)).toBe(11);
    expect(run("weighted", 9, 3)).toBe(5);
  });

  it("D53: a metric that is missing or not finite counts as no improvement", () => {
    const stopping = new MultiMetricEarlyStopping(metrics, { patience: 2 });
    expect(stopping.update({ loss: 3, f1: 0.5 }, 1)).toBe(false);
    expect(stopping.update({ loss: 2 }, 2)).toBe(false);
    expect(stopping.update({ loss: 1, f1: Number.NaN }, 3)).toBe(true);
    expect(stopping.getInfo()).toMatchObject({ stoppedEpoch: 3, metrics: { f1: { wait: 2 }, loss: { wait: 0 } } });
    expect(stopping.getBestScore("f1")).toBe(0.5);
    stopping.reset();
    expect(stopping.shouldStop()).toBe(false);
  });

  it("refuses to watch nothing, or by an unknown rule", () => {
    expect(() => new MultiMetricEarlyStopping({})).toThrow(/at least one/);
    expect(() => new MultiMetricEarlyStopping(metrics, { rule: "most" as never })).toThrow(/any, all or weighted/);
    expect(() => new MultiMetricEarlyStopping({ a: { mode: "min", weight: Number.NaN } })).toThrow(/weight/);
  });
});
