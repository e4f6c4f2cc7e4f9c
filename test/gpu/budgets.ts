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
  { name: "stage 1", launches: 1235, waits: 0, work: { stage: 1 } },
  { name: "stage 1, bf16", launches: 1669, waits: 0, work: { stage: 1, precision: "bf16" } },
  { name: "stage 1, deterministic", launches: 2226, waits: 0, work: { stage: 1, deterministic: true } },
  { name: "stage 2", launches: 1678, waits: 0, work: { stage: 2 } },
  { name: "stage 2, bf16", launches: 2078, waits: 0, work: { stage: 2, precision: "bf16" } },
  { name: "stage 2, deterministic", launches: 3118, waits: 0, work: { stage: 2, deterministic: true } },
  { name: "stage 2, plain decoder", launches: 630, waits: 0, work: { stage: 2, options: { factoredDecoder: false } } },
  { name: "stage 2, warm features", launches: 1360, waits: 0, work: { stage: 2, warm: true } },
  { name: "stage 2, graphs", launches: 381, waits: 0, work: { stage: 2, options: { cudaGraphs: true } } },
  {
    name: "stage 2, graphs, warm features",
    launches: 63,
    waits: 0,
    work: { stage: 2, options: { cudaGraphs: true }, warm: true },
  },
  {
    name: "stage 2, the decoder trained, graphs, warm features",
    launches: 173,
    waits: 0,
    work: { stage: 2, options: { ...decoder, cudaGraphs: true }, warm: true },
  },
  { name: "predict", launches: 9204, waits: 108, work: { image: true } },
];
