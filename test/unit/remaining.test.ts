import { expect, test } from "vitest";
import { Remaining } from "../../lib/cli/remaining.js";
import type { EpochEvent, StepEvent } from "../../lib/events.js";

const step = (epoch: number, at: number): StepEvent => ({
  ...{ type: "step", stage: 1, epoch, step: at, steps: 10, images: 4 * at, imagesPerSecond: 2, lr: 1, gradNorm: 1, losses: {} },
});
const epoch = (stage: 1 | 2, number: number, seconds: number): EpochEvent => ({
  ...{ type: "epoch", stage, fold: 1, epoch: number, epochs: 3, lr: 1, seconds, train: {}, validation: null, improved: true },
  ...{ scores: null, features: { kept: 0, computed: 0 } },
});
const evaluate = (done: number) => ({ type: "progress", task: "evaluate", done, total: 4 }) as const;
const stage = (number: 1 | 2, state: "begin" | "end") => ({ type: "stage", stage: number, fold: 1, state }) as const;
const fold = (number: number, state: "begin" | "end") => ({ type: "fold", fold: number, folds: 2, state }) as const;

test("the time left counts this stage, the next one, the measuring, and the other folds", () => {
  const left = new Remaining({ 1: 3, 2: 2 });
  left.see(fold(1, "begin"), 0);
  left.see(stage(1, "begin"), 0);
  expect(left.seconds()).toBeNull();
  // Half of the first epoch: 40 tiles at 2 a second are 20 s an epoch, for stage 2 as well.
  left.see(step(1, 5), 10);
  expect(left.seconds()).toBe(2.5 * 20 + 2 * 20 + 5 * 20);
  left.see(epoch(1, 1, 10), 20);
  expect(left.seconds()).toBe(2 * 10 + 2 * 10 + 5 * 10);
  // Images that are measured after an epoch are part of its seconds.
  for (const done of [1, 2, 3, 4]) left.see(evaluate(done), 20 + done);
  expect(left.seconds()).toBe(2 * 10 + 2 * 10 + 5 * 10);
  left.see(epoch(1, 3, 10), 40);
  left.see(stage(1, "end"), 41);
  left.see(stage(2, "begin"), 41);
  left.see(epoch(2, 1, 4), 45);
  expect(left.seconds()).toBe(4 + (3 * 10 + 2 * 4));
  left.see(epoch(2, 2, 4), 50);
  left.see(stage(2, "end"), 50);
  // 3 s an image: one of four is left here, and all four in the other fold.
  for (const done of [1, 2, 3]) left.see(evaluate(done), 97 + 3 * done);
  expect(left.seconds()).toBe(3 + (3 * 10 + 2 * 4) + 12);
  left.see(evaluate(4), 109);
  left.see(fold(1, "end"), 110);
  // The first fold took 110 s as a whole, which is the best guess for the second.
  expect(left.seconds()).toBe(110);
  left.see(fold(2, "begin"), 110);
  expect(left.seconds()).toBe(3 * 10 + 2 * 4 + 12);
});

test("a stage that stopped early is over, and a run of one stage has no other", () => {
  const left = new Remaining({ 1: 500, 2: 0 });
  left.see(stage(1, "begin"), 0);
  left.see(epoch(1, 1, 2), 2);
  expect(left.seconds()).toBe(499 * 2);
  left.see(stage(1, "end"), 4);
  expect(left.seconds()).toBe(0);
});

test("a resumed run goes on in its stage, and its first fold says nothing of the others", () => {
  const left = new Remaining({ 1: 3, 2: 2 });
  left.see(fold(1, "begin"), 0);
  left.see(epoch(2, 2, 4), 4);
  expect(left.seconds()).toBe(3 * 4 + 2 * 4);
  left.see(stage(2, "end"), 4);
  left.see(fold(1, "end"), 5);
  expect(left.seconds()).toBe(3 * 4 + 2 * 4);
});
