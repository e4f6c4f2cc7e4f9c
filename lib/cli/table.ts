/** Plain-text tables of metrics. */
import type { Reliability } from "../evaluation/reliability.js";

/** What the scores are called, in the order in which they are shown; of others, the names themselves. */
const labels: Record<string, string> = {
  recall: "cells that were found (recall)",
  precision: "findings that are cells (precision)",
  f1: "both in one number (F1)",
  meanMatchedIou: "overlap of found cells with the truth (IoU)",
  meanPromptIou: "outlines alone: IoU with true boxes",
  ap50: "average precision (AP) at IoU 0.5",
  ap75: "average precision (AP) at IoU 0.75",
  meanAp: "mean AP, IoU 0.5 to 0.95",
  pq: "panoptic quality (PQ)",
  seg: "SEG of the Cell Tracking Challenge",
  dice: "pixels: Dice",
  jaccard: "pixels: Jaccard",
  boundaryPrecision: "boundary precision",
  boundaryRecall: "boundary recall",
  boundaryF1: "boundary F1",
  cocoAp: "COCO AP",
  cocoAp50: "COCO AP at IoU 0.5",
  cocoAp75: "COCO AP at IoU 0.75",
  cocoApSmall: "COCO AP, small cells",
  cocoApMedium: "COCO AP, medium cells",
  cocoApLarge: "COCO AP, large cells",
  images: "images",
  truth: "true cells",
  predicted: "predicted cells",
  truePositives: "cells that were found (TP)",
  falseNegatives: "cells that were missed (FN)",
  falsePositives: "findings that are no cells (FP)",
  matchedIouSum: "sum of the IoU of found cells",
};

/** "meanMatchedIou" -> "mean matched iou" */
function spaced(name: string): string {
  return labels[name] ?? name.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
}

function number(value: number | null): string {
  if (value === null) return "-";
  return Number.isInteger(value) ? String(value) : value.toFixed(4);
}

/** One line per metric: its best threshold and the scores there, those that fit 80 columns. */
export function thresholdTable(best: Partial<Record<string, object>>): string {
  const rows = Object.entries(best).map(([metric, row]) => [metric, row as Record<string, number>] as const);
  const columns = ["threshold", "precision", "recall", "f1", "dice", "ap50"];
  const head = `  ${"tuned to".padEnd(10)}${columns.map((name) => name.padStart(11)).join("")}`;
  const lines = rows.map(([metric, row]) => {
    const numbers = columns.map((name) => number(row[name] ?? null).padStart(11)).join("");
    return `  ${metric.padEnd(10)}${numbers}`;
  });
  return [head, ...lines].join("\n");
}

/** One line per interval of scores with findings: how many there are, their mean score, and the share that are cells. */
export function reliabilityTable({ bins, calibrationError }: Reliability): string {
  const head = `  ${"score".padEnd(12)}${"findings".padStart(10)}${"mean score".padStart(12)}${"that are cells".padStart(16)}`;
  const rows = bins.flatMap(({ from, to, detections, meanScore, precision }) => {
    if (meanScore === null || precision === null) return [];
    const interval = `${from.toFixed(1)} to ${to.toFixed(1)}`.padEnd(12);
    return `  ${interval}${String(detections).padStart(10)}${meanScore.toFixed(2).padStart(12)}${precision.toFixed(2).padStart(16)}`;
  });
  const apart = `  On average they are ${number(calibrationError)} apart (expected calibration error).`;
  return [head, ...rows, apart].join("\n");
}

/** One line per number in `summary`, its `counts` and its `deepcell`; other groups are in the JSON output only. */
export function summaryTable(summary: { counts?: object; deepcell?: object }): string {
  const deepcell = Object.entries(summary.deepcell ?? {}).map(([name, value]) => [`deepcell ${name}`, value]);
  const known = Object.keys(labels);
  const place = (name: string) => (known.includes(name) ? known.indexOf(name) : known.length);
  const rows = Object.entries<unknown>({ ...summary, ...summary.counts, ...Object.fromEntries(deepcell) })
    .filter((row): row is [string, number | null] => row[1] === null || typeof row[1] === "number")
    .sort(([a], [b]) => place(a) - place(b));
  const width = Math.max(...rows.map(([name]) => spaced(name).length));
  return rows.map(([name, value]) => `  ${spaced(name).padEnd(width)}  ${number(value).padStart(9)}`).join("\n");
}
