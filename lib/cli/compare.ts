/** `cellsam compare`: tests whether experiment B is better than experiment A. */
import { Command } from "commander";
import { compareExperiments } from "../entry.js";
import { strictJson } from "../files/json.js";
import { toSnake } from "../spelling.js";
import type { Comparison } from "../stats/compare.js";

export function compareCommand(): Command {
  return new Command("compare")
    .description("compare two finished experiments: paired by folds of the same splits, and by the same images")
    .argument("<a>", "folder of an experiment, the baseline")
    .argument("<b>", "folder of another experiment")
    .option("--json", "print one JSON document on stdout")
    .option("--debug", "print the stack of errors")
    .action(async (a: string, b: string, { json }: { json?: boolean }) => {
      const comparison = await compareExperiments(a, b);
      if (json) {
        process.stdout.write(`${strictJson(toSnake(comparison))}\n`);
        return;
      }
      const parts = [comparison.folds, comparison.images].flatMap((part) => (part ? [table(part)] : []));
      process.stdout.write(`A: ${a}\nB: ${b}\n${[...parts, ...comparison.notes].join("\n")}\n`);
    });
}

const labels: Record<string, string> = {
  f1: "F1",
  ap50: "AP at IoU 0.5",
  meanAp: "mean AP",
  pq: "PQ",
  meanPromptIou: "IoU, true boxes",
};

/** One line per metric, in 80 columns: mean change from A to B, its interval, p and the verdict about B. */
function table({ unit, n, metrics, notes }: Comparison): string {
  const number = (value: number | null | undefined) => (typeof value === "number" ? value.toFixed(3) : "-");
  const chance = (p: number | null) => (p !== null && p < 0.001 ? "<.001" : number(p));
  const head = ["", "change", "95 % interval", "p", "d_z", "B is"];
  const rows = Object.entries(metrics).map(([name, { difference, pHolm, cohensDz, verdict }]) => {
    const interval = unit === "fold" ? difference.ci95T : difference.ci95Bootstrap;
    const range = interval ? `${number(interval[0])} to ${number(interval[1])}` : "-";
    return [labels[name] ?? name, number(difference.mean), range, chance(pHolm), number(cohensDz), verdict];
  });
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => (row[column] as string).length)));
  const line = (row: string[]) => `  ${row.map((text, i) => text.padEnd(widths[i] as number)).join("  ")}`.trimEnd();
  // The score over all cells that a run prints can differ in the other direction, since images with many cells weigh more in
  // it.
  const about = [
    `${n} ${unit}s, each with the same weight; change: B minus A, 0 to 1`,
    "  p: how often chance alone makes such a change, after Holm's correction",
    "  d_z: mean change in units of its standard deviation",
  ];
  return [...about, line(head), ...rows.map(line), ...notes.map((note) => `  ${note}`)].join("\n");
}
