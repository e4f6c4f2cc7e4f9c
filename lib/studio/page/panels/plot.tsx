/** Curves over epochs, drawn in the colours of the page and as wide as their place. */
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";

const LINE = 2;

export interface Line {
  /** The custom property of the colour. */
  colour: "--training" | "--validation";
  dashed?: boolean;
  /** null breaks the line. */
  values: (number | null)[];
}

/** @param words what the curves show, for those who do not see them; the number of lines must stay the same */
export function Plot(props: { words: string; height: number; x: number[]; lines: readonly Line[] }): JSX.Element {
  const { words, height, x, lines } = props;
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);

  useEffect(() => {
    const made = new uPlot(options(place.current as HTMLDivElement, height, lines), [[]], place.current as HTMLDivElement);
    plot.current = made;
    const resized = new ResizeObserver(([entry]) => made.setSize({ width: entry?.contentRect.width ?? 0, height }));
    resized.observe(place.current as HTMLDivElement);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const redraw = () => made.redraw();
    scheme.addEventListener("change", redraw);
    return () => {
      resized.disconnect();
      scheme.removeEventListener("change", redraw);
      made.destroy();
    };
  }, [height]);
  useEffect(() => plot.current?.setData([x, ...lines.map(({ values }) => values)]));

  return <div ref={place} role="img" aria-label={words} />;
}

function options(place: HTMLElement, height: number, lines: readonly Line[]): uPlot.Options {
  const colour = (name: string) => () => getComputedStyle(place).getPropertyValue(name);
  const axis: uPlot.Axis = {
    stroke: colour("--soft"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
    gap: 3,
  };
  return {
    width: place.clientWidth,
    height,
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { size: 6 } },
    scales: { x: { time: false } },
    axes: [
      { ...axis, size: 22, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] },
      { ...axis, size: 38 },
    ],
    series: [
      {},
      ...lines.map(
        ({ colour: name, dashed }): uPlot.Series => ({
          ...{ stroke: colour(name), width: LINE, points: { size: 4 } },
          ...(dashed && { dash: [5, 3] }),
        }),
      ),
    ],
  };
}
