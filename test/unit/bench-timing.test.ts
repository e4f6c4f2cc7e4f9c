// How measurements are repeated, with times that are made up.
import { describe, expect, it } from "vitest";
import { sample } from "../../lib/bench/timing.js";

/** A `run` that takes these seconds for a repetition, one after another, the last one again and again. */
function taking(...each: number[]) {
  const calls: number[] = [];
  const run = async (repeats: number) => {
    const seconds = each[Math.min(calls.length, each.length - 1)] as number;
    calls.push(repeats);
    return seconds * repeats;
  };
  return { run, calls };
}

describe("sample", () => {
  it("of something slow is its second call, as the first one sets things up", async () => {
    const { run, calls } = taking(90, 20);
    expect(await sample(run, 5)).toEqual({ seconds: 20, least: 20, calls: 1 });
    expect(calls).toEqual([1, 1]);
  });

  it("of something quick is the median of calls that take a fifth of the time each", async () => {
    const { run, calls } = taking(3, 0.02, 0.01, 0.03, 0.01, 0.02, 0.01);
    const { seconds, least, calls: counted } = await sample(run, 5);
    expect(calls.slice(0, 3)).toEqual([1, 1, 50]);
    expect(counted).toBe(calls.length - 2);
    expect([seconds, least]).toEqual([0.01, 0.01].map((value) => expect.closeTo(value)));
  });

  it("repeats something very quick a thousand times at most", async () => {
    const { run, calls } = taking(1e-6);
    const { calls: counted } = await sample(run, 0.005);
    expect(Math.max(...calls)).toBe(1000);
    expect(counted).toBe(5);
  });
});
