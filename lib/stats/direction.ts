/** Whether a lower or a higher value of a metric is better. */

export type Direction = "min" | "max";

/** Lower is better for losses and errors, higher for everything else; `directions` overrules. */
export function directionOf(metric: string, directions: Readonly<Record<string, Direction>> = {}): Direction {
  return directions[metric] ?? (/loss|error|cost/i.test(metric) ? "min" : "max");
}
