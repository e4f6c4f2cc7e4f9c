/** Files of results/ to which every fold adds: the scores of its images, and the numbers of the model that it starts from. */
import { existsSync } from "node:fs";
import { basename } from "node:path";
import { textHash } from "../files/fileHash.js";
import { readJson, strictJson, writeJson } from "../files/json.js";
import { writeAtomic } from "../files/writeAtomic.js";
import { toSnake } from "../spelling.js";
import type { RunContext } from "./context.js";
import { writeRunState } from "./resume.js";

type Run = Pick<RunContext, "folds" | "state" | "tree">;

/** The rows of a file, with snake_case names; those of several folds name theirs. */
export type Row = { fold?: number };

/** Adds to a file of the scores of images; a fold that is evaluated again replaces its own rows. */
export async function addRows({ folds, state, tree }: Run, path: string, fold: number, rows: readonly Row[]): Promise<void> {
  const before = folds > 1 && existsSync(path) ? await readJson<Row[]>(path) : [];
  const text = `${strictJson(joinedRows(before, fold, rows))}\n`;
  // Noted before it is written: a kill between the two leaves one of both files.
  const name = basename(path);
  state.imageRows[name] = [...(state.imageRows[name] ?? []).slice(-1), textHash(text)];
  await writeRunState(tree.runState, state);
  await writeAtomic(path, text);
}

/** Writes the numbers of the model that a fold starts from beside those of finished folds. */
export function writePreeval(run: Run, fold: number, preeval: object): Promise<void> {
  return writeJson(run.tree.preeval, preevalContent(run, { fold, ...preeval }));
}

/**
 * The start model's numbers, of finished folds and of the `current` one: of the only fold, or a list with the fold beside them;
 * null where there are none.
 */
export function preevalContent({ folds, state }: Pick<Run, "folds" | "state">, current?: { fold: number }): object | null {
  const finished = state.results.flatMap(({ fold, preeval }) => (preeval ? [{ fold, ...preeval }] : []));
  const rows = current ? joinedRows(finished, current.fold, [current]) : finished.sort((a, b) => a.fold - b.fold);
  const [only] = rows;
  if (!only) return null;
  if (folds > 1) return toSnake(rows) as object;
  const { fold: _, ...numbers } = only;
  return toSnake(numbers) as object;
}

/** Rows of all folds in their order, the rows of `fold` replaced. */
function joinedRows(before: readonly Row[], fold: number, rows: readonly Row[]): Row[] {
  const others = before.filter((row) => row.fold !== fold);
  return [...others, ...rows].sort((a, b) => (a.fold ?? 1) - (b.fold ?? 1));
}
