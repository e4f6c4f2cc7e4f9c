/**
 * What a training step and a prediction may ask of a GPU: operators that reach it (launches), and times that the host waits for
 * all it has to do. Counted on the pretend device, so exact and the same on every machine; a change that needs more has to say so
 * here, and one that needs less lowers the figures.
 */
import type { StageOptions } from "../../lib/engine/session.js";

export interface Budget {
  name: string;
  launches: number;
  waits: number;
  /** Times that a thread waits for one copy or step alone: for what the matching needs, for the results of a prediction. Default 0. */
  eventWaits?: number;
  work: {
    stage?: 1 | 2;
    precision?: "bf16";
    deterministic?: boolean;
    options?: Omit<StageOptions, "stage" | "epochs" | "stepsPerEpoch">;
    /** Features are kept, and the step that is counted reads them. */
    warm?: boolean;
    /** Predicts an image instead. */
    image?: true;
  };
}

const decoder = { trainNeckOnly: false, freezeMaskDecoder: false, freezePromptEncoder: false, iouLossWeight: 1 };

/** A step of two tiles of 64 x 64, model size tiny; a prediction of an image of 256 x 256 with cellsam-tiny. */
export const budgets: Budget[] = [
  { name: "stage 1", launches: 600, waits: 0, eventWaits: 6, work: { stage: 1 } },
  { name: "stage 1, bf16", launches: 735, waits: 0, eventWaits: 6, work: { stage: 1, precision: "bf16" } },
  { name: "stage 1, deterministic", launches: 600, waits: 0, eventWaits: 6, work: { stage: 1, deterministic: true } },
  { name: "stage 2", launches: 350, waits: 0, work: { stage: 2 } },
  { name: "stage 2, bf16", launches: 610, waits: 0, work: { stage: 2, precision: "bf16" } },
  { name: "stage 2, deterministic", launches: 350, waits: 0, work: { stage: 2, deterministic: true } },
  { name: "stage 2, plain decoder", launches: 350, waits: 0, work: { stage: 2, options: { factoredDecoder: false } } },
  { name: "stage 2, warm features", launches: 260, waits: 0, work: { stage: 2, warm: true } },
  { name: "stage 2, graphs", launches: 145, waits: 0, work: { stage: 2, options: { cudaGraphs: "on" } } },
  {
    name: "stage 2, graphs, warm features",
    launches: 55,
    waits: 0,
    work: { stage: 2, options: { cudaGraphs: "on" }, warm: true },
  },
  {
    name: "stage 2, the decoder trained, graphs, warm features",
    launches: 60,
    waits: 0,
    work: { stage: 2, options: { ...decoder, cudaGraphs: "on" }, warm: true },
  },
  { name: "predict", launches: 420, waits: 0, eventWaits: 2, work: { image: true } },
];
