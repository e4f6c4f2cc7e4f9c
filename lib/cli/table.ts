/** Plain-text tables of metrics. */

/** "meanMatchedIou" -> "mean matched iou" */
function spaced(name: string): string {
  return name.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
}

function number(value: number | null): string {
  if (value === null) return "-";
  return Number.isInteger(value) ? String(value) : value.toFixed(4);
}

/** One line per metric: its best threshold and the scores there. */
export function thresholdTable(best: Partial<Record<string, object>>): string {
  const rows = Object.entries(best).map(([metric, row]) => [metric, row as Record<string, number>] as const);
  const columns = Object.keys(rows[0]?.[1] ?? {});
  const head = `  ${"tuned to".padEnd(10)}${columns.map((name) => name.padStart(11)).join("")}`;
  const lines = rows.map(([metric, row]) => {
    const numbers = columns.map((name) => number(row[name] ?? null).padStart(11)).join("");
    return `  ${metric.padEnd(10)}${numbers}`;
  });
  return [head, ...lines].join("\n");
}

/** One line per number in `summary`, its `counts` and its `deepcell`; other groups are in the JSON output only. */
export function summaryTable(summary: { counts?: object; deepcell?: object }): string {
  const deepcell = Object.entries(summary.deepcell ?? {}).map(([name, value]) => [`deepcell ${name}`, value]);
  const rows = Object.entries<unknown>({ ...summary, ...summary.counts, ...Object.fromEntries(deepcell) }).filter(
    (row): row is [string, number | null] => row[1] === null || typeof row[1] === "number",
  );
  const width = Math.max(...rows.map(([name]) => spaced(name).length));
  return rows.map(([name, value]) => `  ${spaced(name).padEnd(width)}  ${number(value).padStart(9)}`).join("\n");
}
