/** One run by several processes: they compare what they were started with, process 0 runs the experiment, the others follow it. */

import { stageConfig } from "../config/stageOptions.js";
import { follow } from "../distributed/follower.js";
import { Group } from "../distributed/group.js";
import { leaderSessions } from "../distributed/leader.js";
import { type Place, placeOf } from "../distributed/place.js";
import { CellsamError, type Failure, failureOf } from "../errors.js";
import type { TrainingEvent } from "../events.js";
import { packageVersion } from "../version.js";
import type { Experiment } from "./context.js";
import { measureTogether, shareOfEvaluation } from "./measureTogether.js";
import { isPlaced } from "./pooled.js";
import type { FoldResult } from "./results.js";
import { changedKeys } from "./resume.js";

/** The place of this process among those that run the experiment together; null where it runs it alone. @throws CellsamError ERR_CONFIG */
export function placeIn({ config, options }: Pick<Experiment, "config" | "options">): Place | null {
  return config.distributed === "off" || options.openSession ? null : placeOf();
}

/**
 * Runs the experiment in all processes; each of them returns the results.
 * @throws what `run` throws in process 0, in all; CellsamError ERR_PEER_LOST, ERR_CONFIG
 */
export async function runTogether(
  place: Place,
  experiment: Experiment,
  emit: (event: TrainingEvent) => void,
  run: (experiment: Experiment) => Promise<FoldResult[]>,
): Promise<FoldResult[]> {
  const { config, options, slots } = experiment;
  checkBatches(experiment, place.size);
  if (isPlaced(slots) || slots.maxParallel > 1) {
    const message = "maxParallel, devices, launcher and queue are for one process: set distributed: off, or start one";
    throw new CellsamError("ERR_CONFIG", message);
  }
  const group = await Group.join(place, config.distributedTimeout);
  try {
    await greet(group, experiment);
    if (group.rank > 0) {
      const { signal } = options;
      return (await follow(group, { signal, onNotice: emit, share: shareOfEvaluation(config, signal) })) as FoldResult[];
    }
    const told = new AbortController();
    const stop = () =>
      told.abort(new CellsamError("ERR_STOPPED", "another process of this training was told to stop; resume it to go on"));
    const signal = options.signal ? AbortSignal.any([options.signal, told.signal]) : told.signal;
    let failure: Failure | null = null;
    let result: FoldResult[] = [];
    try {
      const measureImages = measureTogether(group, stop);
      const shared = { ...options, signal, openSession: leaderSessions(group, stop) };
      result = await run({ ...experiment, options: shared, measureImages });
      return result;
    } catch (error) {
      failure = failureOf(error);
      throw error;
    } finally {
      // Where a process is lost, there is nobody to take leave of.
      await group
        .tell({ type: "end", failure, result })
        .then(() => group.agree())
        .catch(() => undefined);
    }
  } finally {
    await group.dispose();
  }
}

/** @throws CellsamError ERR_CONFIG where an update has fewer batches than there are processes */
function checkBatches({ config }: Experiment, size: number): void {
  for (const stage of config.stages) {
    const { accumulate } = stageConfig(config, stage);
    if (accumulate >= size) continue;
    const message = `stage${stage}Config.accumulate is ${accumulate}: ${size} processes need at least ${size} batches in an update, one for each. Results depend on accumulate, and not on the number of processes`;
    throw new CellsamError("ERR_CONFIG", message, { detail: { accumulate, processes: size } });
  }
}

/** Settings in which processes may differ. */
const own = new Set(["device", "threads", "priority", "debug"]);

/** Process 0 tells the others its settings. @throws CellsamError ERR_CONFIG, in all, where they have others */
async function greet(group: Group, { config }: Experiment): Promise<void> {
  const settings = JSON.parse(JSON.stringify(config)) as unknown;
  if (group.rank === 0) {
    await group.tell({ type: "hello", version: packageVersion, settings });
    return group.agree();
  }
  const hello = await group.receive();
  const known = hello.type === "hello" ? hello : { version: "another", settings: null };
  const changed = changedKeys(known.settings, settings).filter((key) => !own.has(key));
  let message: string | null = null;
  if (known.version !== packageVersion)
    message = `its version of cellsam-train is ${packageVersion}, that of process 0 is ${known.version}`;
  else if (changed.length > 0) message = `it was started with other settings than process 0: ${changed.join(", ")}`;
  await group.agree(message === null ? null : { code: "ERR_CONFIG", message });
}
