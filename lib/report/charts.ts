/** Charts as SVG text. Text and axes take the colour of the surrounding page. */
import { lazily } from "../lazily.js";

const dom = lazily<typeof import("linkedom")>("linkedom");
const plot = lazily<typeof import("@observablehq/plot")>("@observablehq/plot");

/** Okabe and Ito's palette for colour-blind readers, without its yellow, which is faint on white. */
export const palette = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F7F7F"] as const;

export type Series = readonly (number | null)[];

export interface Line {
  name: string;
  /** One value per epoch, from epoch 1; null leaves a gap. */
  values: Series;
  /** Drawn thin and dashed, as training losses are. */
  dashed?: boolean;
  /** Lines of one group share a colour. Default: the name. */
  group?: string;
  /** Epoch that gets a dot, from 1. */
  best?: number | undefined;
}

export interface LineChart {
  lines: readonly Line[];
  title?: string;
  y?: string;
  log?: boolean;
  width?: number;
  height?: number;
}

const rowHeight = 16;
const letterWidth = 6.2;

/**
 * A chart of values over epochs with a legend below. `log` omits values that are not positive, and makes the axis logarithmic
 * where the values span enough.
 */
export function lineChart({ lines, title, y = "loss", log = false, width = 420, height = 260 }: LineChart): string {
  const groups = [...new Set(lines.map((line) => line.group ?? line.name))];
  const colour = (line: Line) => palette[groups.indexOf(line.group ?? line.name) % palette.length] as string;
  const shown = (value: number | null | undefined): value is number => typeof value === "number" && (!log || value > 0);
  const longest = Math.max(1, ...lines.map(({ values }) => values.length));
  const numbers = lines.flatMap(({ values }) => values.filter(shown));
  const top = title ? 30 : 12;
  const items = lines.map((line) => ({ name: line.name, colour: colour(line), dashed: line.dashed ?? false }));
  const rows = legendRows(items, width - 20);
  const { document } = dom().parseHTML("<html><body></body></html>");
  const marks = lines.flatMap((line) => {
    const points = line.values.map((value, i) => ({ epoch: i + 1, value: shown(value) ? value : Number.NaN }));
    const dash = line.dashed ? { strokeDasharray: "4 3", strokeWidth: 1.2 } : { strokeWidth: 1.9 };
    const marked = points.filter(({ epoch, value }) => (epoch === line.best || points.length === 1) && Number.isFinite(value));
    return [
      plot().lineY(points, { x: "epoch", y: "value", stroke: colour(line), ...dash }),
      plot().dot(marked, { x: "epoch", y: "value", fill: colour(line), r: 3.6 }),
    ];
  });
  const low = numbers.length > 0 ? Math.min(...numbers) : log ? 0.1 : 0;
  const high = numbers.length > 0 ? Math.max(...numbers) : 1;
  const domain = log ? [low / 1.1, Math.max(high * 1.1, low * 1.3)] : [Math.min(0, low), high > 0 ? high * 1.04 : 1];
  const ticks = log ? logTicks(domain[0] as number, domain[1] as number) : [];
  const logarithmic = ticks.length > 1;
  const svg = plot().plot({
    document: document as unknown as never,
    className: "chart",
    width,
    height,
    marginTop: top + 16,
    marginLeft: 50,
    marginRight: 12,
    marginBottom: 36,
    x: { label: "epoch", labelArrow: "none", domain: [1, Math.max(2, longest)], ticks: epochTicks(longest), tickFormat: "d" },
    y: {
      type: logarithmic ? "log" : "linear",
      label: null,
      labelArrow: "none",
      domain,
      grid: true,
      ticks: logarithmic ? ticks : 5,
      tickFormat: (value: number) => String(Number(value.toPrecision(3))),
    },
    marks,
  });
  return finish(svg, {
    title,
    rows,
    width,
    height,
    label: logarithmic ? `${y} (log scale)` : y,
    labelY: top + 2,
    hasDot: lines.some(({ best }) => best !== undefined),
  });
}

/** A chart of numbers over the values of a setting, one dot each; the values are ordered by size. */
export function dotChart(
  dots: readonly { x: string; y: number }[],
  { x, y, width = 320, height = 220 }: { x: string; y: string; width?: number; height?: number },
): string {
  const { document } = dom().parseHTML("<html><body></body></html>");
  const numbers = dots.map((dot) => dot.y);
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  const padding = (high - low || Math.abs(high) || 1) * 0.08;
  const domain = [...new Set(dots.map((dot) => dot.x))].sort((a, b) => Number(a) - Number(b) || (a < b ? -1 : 1));
  const svg = plot().plot({
    document: document as unknown as never,
    className: "chart",
    width,
    height,
    marginTop: 28,
    marginLeft: 56,
    marginRight: 12,
    marginBottom: 40,
    x: { type: "point", label: x, labelArrow: "none", domain, padding: 0.5 },
    y: { label: null, domain: [low - padding, high + padding], grid: true, ticks: 5 },
    marks: [plot().dot(dots, { x: "x", y: "y", fill: palette[0], fillOpacity: 0.75, r: 4 })],
  });
  return finish(svg, { rows: [], width, height, label: y, labelY: 14, hasDot: false });
}

function epochTicks(longest: number): number[] {
  const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((size) => longest / size <= 8) ?? Math.ceil(longest / 8);
  const ticks = Array.from({ length: Math.floor(longest / step) }, (_, i) => (i + 1) * step);
  return step === 1 ? ticks : [1, ...ticks];
}

/**
 * Ticks at 1, 2 and 5 of each decade; only at 1 where there are many decades. With fewer than two of them, the axis is linear.
 */
function logTicks(low: number, high: number): number[] {
  const decades = Array.from({ length: 80 }, (_, i) => i - 40);
  const steps = high / low > 1e3 ? [1] : [1, 2, 5];
  const round = (value: number) => Number(value.toPrecision(2));
  const ticks = decades.flatMap((power) => steps.map((step) => round(step * 10 ** power)));
  return ticks.filter((tick) => tick >= low && tick <= high);
}

interface LegendItem {
  name: string;
  colour: string;
  dashed: boolean;
}

function legendRows(items: readonly LegendItem[], width: number): (LegendItem & { x: number })[][] {
  const rows: (LegendItem & { x: number })[][] = [[]];
  let x = 0;
  for (const item of items) {
    const size = 30 + letterWidth * item.name.length;
    if (x > 0 && x + size > width) {
      rows.push([]);
      x = 0;
    }
    rows.at(-1)?.push({ ...item, x });
    x += size + 10;
  }
  return items.length > 0 ? rows : [];
}

/** Adds title and legend to the SVG; Plot would put them into HTML around it. */
function finish(
  svg: { outerHTML: string },
  {
    title,
    rows,
    width,
    height,
    label,
    labelY,
    hasDot,
  }: {
    title?: string | undefined;
    rows: (LegendItem & { x: number })[][];
    width: number;
    height: number;
    label: string;
    labelY: number;
    hasDot: boolean;
  },
): string {
  const note = hasDot ? rowHeight : 0;
  const full = height + rows.length * rowHeight + note + (rows.length > 0 ? 6 : 0);
  const text = (x: number, y: number, content: string, more = "") =>
    `<text x="${x}" y="${y}" text-anchor="start"${more}>${escapeXml(content)}</text>`;
  const parts = rows.flatMap((row, r) =>
    row.map(({ name, colour, dashed, x }) => {
      const y = height + 4 + r * rowHeight;
      const dash = dashed ? ' stroke-dasharray="4 3" stroke-width="1.4"' : ' stroke-width="2.4"';
      return `<line x1="${10 + x}" x2="${32 + x}" y1="${y}" y2="${y}" stroke="${colour}"${dash}/>${text(37 + x, y + 3.5, name)}`;
    }),
  );
  if (hasDot) {
    const y = height + 4 + rows.length * rowHeight;
    parts.push(`<circle cx="21" cy="${y}" r="3.6" fill="currentColor"/>${text(37, y + 3.5, "lowest validation loss")}`);
  }
  parts.push(text(10, labelY, label));
  if (title) parts.push(text(10, 18, title, ' font-size="13" font-weight="bold"'));
  return svg.outerHTML
    .replace(/<style>[\s\S]*?<\/style>/, "")
    .replace(/^<svg [^>]*>/, () => {
      const named = title ? ` aria-label="${escapeXml(title)}"` : "";
      return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${full}" width="${width}" height="${full}" class="chart" role="img"${named} text-anchor="middle" font-size="11" font-family="system-ui, sans-serif" fill="currentColor">`;
    })
    .replace(/<\/svg>$/, `${parts.join("")}</svg>`);
}

export function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}
