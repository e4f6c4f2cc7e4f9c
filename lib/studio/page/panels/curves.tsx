/** Loss curves of a run, those of each stage for themselves: their losses do not compare. */
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import type { Epoch } from "../../api.js";
import { lossCurves } from "./lossCurves.js";
import { counted } from "./numbers.js";

const LINE = 2;

const stageNames = { 1: "detector", 2: "masks" } as const;

/** @param newest only the stage of the last epoch */
export function Curves(props: { epochs: readonly Epoch[]; height: number; newest?: boolean }): JSX.Element {
  const { epochs, height, newest = false } = props;
  const last = epochs.at(-1)?.stage;
  const stages = ([1, 2] as const).filter((stage) => (newest ? stage === last : epochs.some((epoch) => epoch.stage === stage)));
  if (stages.length === 0) return <p class="soft small">No epoch has ended yet.</p>;
  return (
    <div class="two">
      {stages.map((stage) => (
        <StageCurves key={stage} stage={stage} epochs={epochs.filter((epoch) => epoch.stage === stage)} height={height} />
      ))}
    </div>
  );
}

function StageCurves({ stage, epochs, height }: { stage: 1 | 2; epochs: readonly Epoch[]; height: number }): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const { x, training, validation, best } = lossCurves(epochs);

  useEffect(() => {
    const made = new uPlot(options(place.current as HTMLDivElement, height), [[], [], []], place.current as HTMLDivElement);
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
  useEffect(() => plot.current?.setData([x, training, validation]));

  const last = training.at(-1);
  const words = `Loss of stage ${stage} after ${counted(epochs.length, "epoch")}: training ${loss(last)}, validation ${loss(validation.at(-1))}`;
  return (
    <figure class="curves">
      <p class="small soft">
        Stage {stage}, {stageNames[stage]}
      </p>
      <div ref={place} role="img" aria-label={words} />
      <figcaption class="number">
        <span class="key training-line">training {loss(last)}</span>
        <span class="key validation-line">validation {loss(validation.at(-1))}</span>
        {best !== null && <span class="soft">lowest {loss(best)}</span>}
      </figcaption>
    </figure>
  );
}

function loss(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : value.toFixed(3);
}

function options(place: HTMLElement, height: number): uPlot.Options {
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
      { stroke: colour("--training"), width: LINE, points: { size: 4 } },
      { stroke: colour("--validation"), width: LINE, dash: [5, 3], points: { size: 4 } },
    ],
  };
}
