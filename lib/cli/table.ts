/** Plain-text tables of metrics. */

/** "meanMatchedIou" -> "mean matched iou" */
function words(name: string): string {
  return name.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
}

function cell(value: number | null): string {
  if (value === null) return "-";
  return Number.isInteger(value) ? String(value) : value.toFixed(4);
}

/** One line per number in `summary` and in its `counts`; other groups are left to the JSON output. */
export function summaryTable(summary: { counts?: object }): string {
  const rows = Object.entries<unknown>({ ...summary, ...summary.counts }).filter(
    (row): row is [string, number | null] => row[1] === null || typeof row[1] === "number",
  );
  const width = Math.max(...rows.map(([name]) => words(name).length));
  return rows.map(([name, value]) => `  ${words(name).padEnd(width)}  ${cell(value).padStart(9)}`).join("\n");
}
