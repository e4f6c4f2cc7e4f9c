/** The pixels that a round brush covers along a line: those whose centre is at most `radius` away from it. */

/** The smallest brush: it covers a pixel wherever its middle is. */
const smallest = Math.SQRT1_2;

/** Calls `run(row, from, to)` with columns from..to-1, once for each pixel. Points are x, y. */
export function strokeRows(
  points: readonly (readonly [number, number])[],
  radius: number,
  [height, width]: readonly [number, number],
  run: (row: number, from: number, to: number) => void,
): void {
  const reach = Math.max(radius, smallest);
  const rows = new Map<number, [number, number][]>();
  for (const [i, to] of points.entries()) {
    const from = points[Math.max(0, i - 1)] as readonly [number, number];
    const top = Math.max(0, Math.ceil(Math.min(from[1], to[1]) - reach - 0.5));
    const bottom = Math.min(height - 1, Math.floor(Math.max(from[1], to[1]) + reach - 0.5));
    for (let row = top; row <= bottom; row++) {
      const span = capsuleSpan(from, to, reach, row + 0.5);
      if (!span) continue;
      const left = Math.max(0, Math.ceil(span[0] - 0.5));
      const right = Math.min(width, Math.floor(span[1] - 0.5) + 1);
      if (left >= right) continue;
      const spans = rows.get(row);
      if (spans) spans.push([left, right]);
      else rows.set(row, [[left, right]]);
    }
  }
  for (const [row, spans] of [...rows].sort((a, b) => a[0] - b[0]))
    for (const [left, right] of joined(spans)) run(row, left, right);
}

/** Spans without overlap, from left to right. */
function joined(spans: [number, number][]): [number, number][] {
  const out: [number, number][] = [];
  for (const [left, right] of spans.sort((a, b) => a[0] - b[0])) {
    const last = out.at(-1);
    if (last && left <= last[1]) last[1] = Math.max(last[1], right);
    else out.push([left, right]);
  }
  return out;
}

/**
 * Where a horizontal line at `y` is within `radius` of the segment from `a` to `b`; null where it is not. The region is convex
 * and consists of a disc at each end and a rectangle between them, so the span is that of the three.
 */
function capsuleSpan(
  a: readonly [number, number],
  b: readonly [number, number],
  radius: number,
  y: number,
): [number, number] | null {
  const spans = [discSpan(a, radius, y), discSpan(b, radius, y), rectangleSpan(a, b, radius, y)].filter((one) => one !== null);
  if (spans.length === 0) return null;
  return [Math.min(...spans.map(([left]) => left)), Math.max(...spans.map(([, right]) => right))];
}

function discSpan([x, centre]: readonly [number, number], radius: number, y: number): [number, number] | null {
  const square = radius ** 2 - (y - centre) ** 2;
  if (square < 0) return null;
  const half = Math.sqrt(square);
  return [x - half, x + half];
}

/** The points beside the segment: their foot is on it, and they are at most `radius` away. */
function rectangleSpan(
  [ax, ay]: readonly [number, number],
  [bx, by]: readonly [number, number],
  radius: number,
  y: number,
): [number, number] | null {
  const [dx, dy] = [bx - ax, by - ay];
  const square = dx * dx + dy * dy;
  if (square === 0) return null;
  // Both conditions are linear in x - ax: 0 <= dx (x - ax) + dy (y - ay) <= |d|^2, |dy (x - ax) - dx (y - ay)| <= radius |d|.
  const along = between(dx, dy * (y - ay), 0, square);
  const reach = radius * Math.sqrt(square);
  const across = between(dy, -dx * (y - ay), -reach, reach);
  if (!along || !across) return null;
  const left = Math.max(along[0], across[0]);
  const right = Math.min(along[1], across[1]);
  return left <= right ? [ax + left, ax + right] : null;
}

/** All x with low <= slope x + offset <= high; null where there is none. */
function between(slope: number, offset: number, low: number, high: number): [number, number] | null {
  if (slope === 0) return offset >= low && offset <= high ? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY] : null;
  const ends = [(low - offset) / slope, (high - offset) / slope];
  return [Math.min(...ends), Math.max(...ends)];
}
