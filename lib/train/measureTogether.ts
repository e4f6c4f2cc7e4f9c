/** An evaluation that all processes of a training divide: each measures its share of the images with its copy of the model. */
import { resolve } from "node:path";
import type { ExperimentConfig } from "../config/experiment.js";
import type { Pair } from "../data/discover.js";
import type { Group } from "../distributed/group.js";
import type { LeaderSession } from "../distributed/leader.js";
import type { Session } from "../engine/session.js";
import { type Kept, keptOf, measuredOf } from "../evaluation/kept.js";
import { type EvaluateModelOptions, type EvaluationContext, type MeasureImages, measureImages } from "../evaluation/model.js";

/** Images of one process between two answers: enough that the processes seldom wait for the slowest. */
const imagesOfEach = 8;

interface Work {
  pairs: readonly Pair[];
  options: EvaluateModelOptions;
}

/** What a process has measured of its share, null where it could not, and whether it was told to stop. */
interface Answer {
  measured: (Kept | null)[];
  stopped: boolean;
}

/**
 * Process 0's way to measure. What another process cannot measure, such as images that its machine does not see, is measured here.
 * `stop` is called when another process was told to stop; it has to abort the signal of the evaluation.
 */
export function measureTogether({ size, rank }: Group, stop: () => void): MeasureImages {
  let warned = false;
  return async function* (context, pairs, options) {
    const session = context.session as LeaderSession;
    for (let start = 0; start < pairs.length; start += imagesOfEach * size) {
      context.signal?.throwIfAborted();
      const round = pairs.slice(start, start + imagesOfEach * size).map(withFullPaths);
      const work: Work = { pairs: round, options };
      const texts = await session.divide(work, () => share(context, work, { size, rank }));
      const answers = texts.map((text) => JSON.parse(text) as Answer);
      if (answers.some(({ stopped }) => stopped)) stop();
      context.signal?.throwIfAborted();
      for (const [i, pair] of round.entries()) {
        const kept = answers[i % size]?.measured[Math.floor(i / size)];
        if (kept) {
          const measured = measuredOf(kept);
          await context.keep?.(measured);
          yield measured;
          continue;
        }
        yield* measureImages(context, [pair], options);
        if (i % size === rank || warned) continue;
        warned = true;
        const message = `process ${i % size} could not measure ${pair.image}; process 0 does it, and what else the others cannot`;
        context.emit({ type: "notice", level: "warning", message });
      }
    }
  };
}

/** The part of the others: measures a share with `config`, and returns the answer. */
export function shareOfEvaluation(config: ExperimentConfig, signal: AbortSignal | undefined) {
  return (session: Session, work: unknown, group: Group): Promise<string> =>
    share({ session, config, signal, emit: () => undefined }, work as Work, group);
}

/** Measures what is this process's, and returns its answer. */
async function share(
  { keep: _, measureImages: __, ...context }: EvaluationContext,
  { pairs, options }: Work,
  { size, rank }: Pick<Group, "size" | "rank">,
): Promise<string> {
  const own = pairs.filter((_pair, i) => i % size === rank);
  const measured: Answer["measured"] = [];
  try {
    for await (const one of measureImages(context, own, { ...options, keepGoing: true }))
      measured.push("code" in one ? null : keptOf(one));
  } catch {
    // It was told to stop; process 0 meets anything else itself, at the images that are missing.
  }
  return JSON.stringify({ measured, stopped: context.signal?.aborted === true } satisfies Answer);
}

/** The processes may have been started in different folders. */
function withFullPaths(pair: Pair): Pair {
  return { ...pair, image: resolve(pair.image), ...(pair.mask && { mask: resolve(pair.mask) }) };
}
