/**
 * Folds that processes of their own train at the same time. Each has a state and rows of its own in resume/fold_N, and so the
 * run can be resumed in either way, whichever way it was begun; when it is finished, they are joined with those of the run.
 */
import { existsSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Session } from "../engine/session.js";
import { CellsamError } from "../errors.js";
import { makeFolder } from "../files/folders.js";
import { readJson } from "../files/json.js";
import { linkOrCopy } from "../files/linkOrCopy.js";
import { namesIn } from "../files/read.js";
import type { RunContext } from "./context.js";
import { trainFold } from "./fold.js";
import { addRows, type Row, writePreeval } from "./foldRows.js";
import { isTaken, takeLock } from "./lock.js";
import type { OutputTree } from "./outputTree.js";
import { type FoldResult, flatMetrics } from "./results.js";
import { beginFold, checkInputs, type RunInputs, type RunState, readRunState, writeRunState } from "./resume.js";

const lockOf = (apart: OutputTree) => join(apart.resume, "fold.lock");

/** Makes the state of a fold that is trained apart, unless there is one. What the run has saved of it moves there. */
export async function setApart(fold: number, { tree, state }: Pick<RunContext, "tree" | "state">): Promise<void> {
  const apart = tree.apart(fold);
  if (existsSync(apart.runState)) return;
  await makeFolder(apart.resume);
  const begun =
    state.fold === fold && (state.progress !== null || state.preeval !== null || Object.keys(state.stages).length > 0);
  const own: RunState = { ...state, results: [], imageRows: {} };
  if (!begun) beginFold(own, fold);
  const files = begun ? (await readdir(tree.resume)).filter((name) => /^(best|state)_/.test(name)) : [];
  for (const name of files) {
    const target = join(apart.resume, name);
    await rm(target, { force: true });
    await linkOrCopy(join(tree.resume, name), target);
  }
  await writeRunState(apart.runState, own);
  if (!begun) return;
  beginFold(state, fold);
  await writeRunState(tree.runState, state);
  for (const name of files) await rm(join(tree.resume, name), { force: true });
}

/** Whether a fold has a state of its own, and so is trained apart. */
export function isApart(fold: number, tree: OutputTree): boolean {
  return existsSync(tree.apart(fold).runState);
}

/** What a fold is trained on. */
export type Place = Pick<RunInputs, "device" | "precision">;

export interface FoldHost {
  find: () => Promise<Place>;
  /** Gives the model to `work`. */
  lend: (device: Place["device"], work: (session: Session) => Promise<void>) => Promise<void>;
}

/**
 * Trains what is left of a fold that was set apart; `run` is that of the whole experiment.
 * @throws CellsamError ERR_LOCKED while another process trains it, ERR_RESUME on another device or in another precision than it
 * began; what trainFold throws
 */
export async function trainApart(
  fold: number,
  { find, lend }: FoldHost,
  run: Omit<RunContext, "state">,
  version: string,
): Promise<FoldResult> {
  const tree = run.tree.apart(fold);
  const unlock = await takeLock(lockOf(tree), (owner) => {
    const who = owner ? `process ${owner.pid} on ${owner.host}` : "another process";
    return new CellsamError("ERR_LOCKED", `fold ${fold} is being trained by ${who}`, { detail: { ...owner } });
  });
  try {
    const state = await readRunState(tree.runState, tree.resume, run.config, version);
    const done = () => state.results.find((result) => result.fold === fold);
    // That the fold has ended is told when it is joined with the run.
    const emit: RunContext["emit"] = (event) => {
      if (event.type !== "fold") run.emit(event);
    };
    if (!done()) {
      const place = await find();
      // What was begun goes on where it was, since another device rounds differently.
      if (state.progress || Object.keys(state.stages).length > 0) checkInputs(state, place);
      Object.assign(state, place);
      await lend(place.device, (session) => trainFold(fold, session, { ...run, emit, tree, state }));
    }
    return done() as FoldResult;
  } finally {
    await unlock();
  }
}

/** Adds what a fold that was trained apart has left to the files and the state of the run. */
export async function joinFold(fold: number, result: FoldResult, run: RunContext): Promise<void> {
  const { tree, state, writeIfPossible } = run;
  const apart = tree.apart(fold);
  for (const name of ["preevalPerImage", "perImage"] as const)
    if (existsSync(apart[name])) await addRows(run, tree[name], fold, await readJson<Row[]>(apart[name]));
  if (result.preeval) await writeIfPossible(tree.preeval, writePreeval(run, fold, result.preeval));
  state.results.push(result);
  await writeRunState(tree.runState, state);
  await removeApart(fold, tree);
  run.emit({ type: "fold", fold, folds: run.folds, state: "end", metrics: flatMetrics(result) });
}

/** Removes what a fold has saved: its state first, so that half of it is never resumed. */
export async function removeApart(fold: number, tree: OutputTree): Promise<void> {
  const { runState, resume } = tree.apart(fold);
  await rm(runState, { force: true });
  await rm(resume, { recursive: true, force: true, maxRetries: 5 });
}

/** Waits for processes of an earlier run that was killed: each notices it, saves its fold and ends. */
export async function foldsSaved(tree: OutputTree, warn: (message: string) => void, signal?: AbortSignal): Promise<void> {
  for (const name of namesIn(tree.resume)) {
    const fold = Number(/^fold_(\d+)$/.exec(name)?.[1] ?? 0);
    if (fold === 0 || !(await isTaken(lockOf(tree.apart(fold))))) continue;
    warn(`fold ${fold} of the earlier run is still saving; waiting for it`);
    while (await isTaken(lockOf(tree.apart(fold)))) {
      signal?.throwIfAborted();
      await sleep(100);
    }
  }
}
