/** Counts of what was decided about objects of annotations, added up over the images of a data set. */
import type { CellsamError, ErrorCode } from "../errors.js";
import type { Problem, Tally } from "./problem.js";

const SHOWN = 5;

export function tally(what: string, names: readonly string[], of: number, more: Pick<Tally, "hint" | "fix"> = {}): Tally {
  return { what, count: names.length, of, names: names.slice(0, SHOWN), ...more };
}

/** Such as "objects outside the image: 3 of 56 (feature 1, feature 4, ...)". */
export function sentence({ what, count, of, names, hint }: Tally): string {
  const few = names.slice(0, SHOWN).join(", ") + (count > Math.min(names.length, SHOWN) ? ", ..." : "");
  return `${what}: ${count} of ${of}${few ? ` (${few})` : ""}${hint ? `; ${hint}` : ""}`;
}

/** Tallies of the same fact as one. */
export function added(tallies: readonly Tally[]): Tally[] {
  const sums = new Map<string, Tally>();
  for (const one of tallies) {
    const sum = sums.get(one.what);
    if (!sum) sums.set(one.what, { ...one });
    else {
      sum.count += one.count;
      sum.of += one.of;
      sum.names = [...sum.names, ...one.names].slice(0, SHOWN);
    }
  }
  return [...sums.values()];
}

/** The problems that an error of decoding stands for: one for each tally in its detail, or the error itself. */
export function problemsOf(path: string, { code, detail, message }: CellsamError, fix: string): Problem[] {
  const { tallies, reason } = (detail ?? {}) as { tallies?: Tally[]; reason?: string };
  if (tallies) return tallies.map((one) => ({ ...asProblem(path, one), fix: one.fix ?? fix, tally: one }));
  return [{ code: code ?? ("ERR_IMAGE_BROKEN" as ErrorCode), path, message: reason ?? message, fix }];
}

function asProblem(path: string, one: Tally): Omit<Problem, "fix"> {
  return { code: "ERR_ANNOTATION", path, message: sentence(one) };
}

/** The same problems, with those of one file that count the same fact as one: a COCO file is read once for every image. */
export function mergedProblems(problems: readonly Problem[]): Problem[] {
  const merged = new Map<string, Problem>();
  for (const [i, problem] of problems.entries()) {
    const key = problem.tally ? JSON.stringify([problem.path, problem.tally.what]) : String(i);
    const [sum] = added([merged.get(key)?.tally, problem.tally].filter((one) => one !== undefined));
    merged.set(key, sum ? { ...problem, ...asProblem(problem.path, sum), tally: sum } : problem);
  }
  return [...merged.values()];
}
