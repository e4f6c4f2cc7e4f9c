/** How well predictions fit: against corrections, and two models against each other. Measured once for each pair of maps. */
import { evaluatePair } from "../evaluation/pairs.js";

export interface Measured {
  f1: number;
  /** AP at IoU 0.5. */
  ap: number;
}

/** A label map [H,W] and what tells it from others, such as a model and a revision. */
export interface Version {
  key: string;
  labels: () => Promise<Int32Array>;
}

export class Scores {
  readonly #measured = new Map<string, { pair: string; result: Measured }>();
  #last: Promise<unknown> = Promise.resolve();

  /** The result of the last `measure` under this name. */
  known(name: string): Measured | null {
    return this.#measured.get(name)?.result ?? null;
  }

  forget(name: string): void {
    this.#measured.delete(name);
  }

  /** Compares two maps, one pair after the other, unless both are those of the last time. Returns whether the result is new. */
  measure(name: string, [height, width]: readonly [number, number], truth: Version, prediction: Version): Promise<boolean> {
    const pair = `${truth.key} ${prediction.key}`;
    const turn = this.#last.then(async () => {
      if (this.#measured.get(name)?.pair === pair) return false;
      const shape = [height, width];
      const maps = [
        { data: await truth.labels(), shape },
        { data: await prediction.labels(), shape },
      ] as const;
      const { f1, ap50 } = await evaluatePair(...maps);
      this.#measured.set(name, { pair, result: { f1, ap: ap50 } });
      return true;
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}
