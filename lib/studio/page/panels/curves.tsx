/** Curves of a run: losses, those of each stage for themselves, since they do not compare, and F1 of held-out images. */
import type { JSX } from "preact";
import type { Epoch } from "../../api.js";
import { score } from "./controls.js";
import { lossCurves } from "./lossCurves.js";
import { counted } from "./numbers.js";
import { Plot } from "./plot.js";
import { scoreCurve } from "./scoreCurve.js";

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
  const { x, training, validation, best } = lossCurves(epochs);
  const last = training.at(-1);
  const words = `Loss of stage ${stage} after ${counted(epochs.length, "epoch")}: training ${loss(last)}, validation ${loss(validation.at(-1))}`;
  return (
    <figure class="curves">
      <p class="small soft">
        Stage {stage}, {stageNames[stage]}
      </p>
      <Plot
        {...{ words, height, x }}
        lines={[
          { colour: "--training", values: training },
          { colour: "--validation", dashed: true, values: validation },
        ]}
      />
      <figcaption class="number">
        <span class="key training-line">training {loss(last)}</span>
        <span class="key validation-line">validation {loss(validation.at(-1))}</span>
        {best !== null && <span class="soft">lowest {loss(best)}</span>}
      </figcaption>
    </figure>
  );
}

/** Nothing before an epoch was evaluated. @param before F1 before the training */
export function ScoreCurve(props: { epochs: readonly Epoch[]; before: number | null; height: number }): JSX.Element | null {
  const { epochs, before, height } = props;
  const { x, f1, last, best } = scoreCurve(epochs, before);
  if (last === null) return null;
  const words = `F1 of held-out images after ${counted(epochs.length, "epoch")}: ${score(last)}, before ${score(before)}`;
  return (
    <figure class="curves">
      <p class="small soft">F1 on held-out images, all epochs</p>
      <Plot {...{ words, height, x }} lines={[{ colour: "--validation", dashed: true, values: f1 }]} />
      <figcaption class="number">
        <span class="key validation-line">now {score(last)}</span>
        <span class="soft">before {score(before)}</span>
        <span class="soft">highest {score(best)}</span>
      </figcaption>
    </figure>
  );
}

function loss(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : value.toFixed(3);
}
