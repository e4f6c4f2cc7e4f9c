/** How long something takes that is called again and again. */

export interface Sample {
  /** Of one repetition, the median over the calls. */
  seconds: number;
  /** Of one repetition in the quickest call. */
  least: number;
  calls: number;
}

/**
 * Calls `run` with a number of repetitions until the calls have taken `budget` seconds: once to set things up, once to see how long
 * it takes, and then so that a call takes about a fifth of the budget. `run` returns the seconds that its repetitions took.
 */
export async function sample(run: (repeats: number) => Promise<number>, budget: number): Promise<Sample> {
  await run(1);
  const times = [await run(1)];
  const [first] = times as [number];
  const repeats = Math.min(1000, Math.max(1, Math.round(budget / 5 / first)));
  for (let spent = first; spent < budget; ) {
    const taken = await run(repeats);
    spent += taken;
    times.push(taken / repeats);
  }
  // The second call may still have set things up; it counts only where there is no other.
  const counted = times.length > 1 ? times.slice(1) : times;
  const sorted = counted.sort((a, b) => a - b);
  const middle = (sorted[(sorted.length - 1) >> 1] as number) + (sorted[sorted.length >> 1] as number);
  return { seconds: middle / 2, least: sorted[0] as number, calls: sorted.length };
}
