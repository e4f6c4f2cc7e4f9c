/** Predict, correct, train, predict again: what the page asks of the server beyond edits. */
import { signal } from "@preact/signals";
import type { PredictBody, TrainBody } from "../../api.js";
import * as api from "../api/client.js";
import { submit } from "./edits.js";
import { view } from "./image.js";
import { attempt, tell } from "./messages.js";
import { goTo } from "./route.js";
import { loadRuns } from "./runs.js";
import { images, jobStarted, loadServer, toCorrect, training, unpredicted } from "./server.js";

/** What the next training is given. */
export const trainOptions = signal<Required<Pick<TrainBody, "preset" | "from">> & { epochs: number | null }>({
  preset: "tiny",
  epochs: null,
  from: "current",
});

export async function predict(which: PredictBody["images"]): Promise<void> {
  const job = await attempt(() => api.predict(which));
  if (job) jobStarted(job);
}

export async function predictThis(): Promise<void> {
  if (view.value) await predict([view.value.id]);
}

/** What a training does before its first step. */
export const BEGINNING = "checking images, measuring the model before training …";

/** Training images are whole images: one is for the network, one at least must be held out to score it. */
export const LEAST_CORRECTED = 2;

export async function train(): Promise<void> {
  if (training.value) return tell("A training runs already.");
  const { preset, epochs, from } = trainOptions.value;
  const job = await attempt(() => api.train({ preset, from, ...(epochs && { epochs }) }));
  if (!job) return;
  jobStarted(job);
  tell(`Training ${job.run ?? ""} has begun.`);
  await attempt(loadRuns);
}

export async function stop(run: string): Promise<void> {
  await attempt(() => api.stopRun(run));
}

export async function resume(run: string): Promise<void> {
  const job = await attempt(() => api.resumeRun(run));
  if (job) jobStarted(job);
}

export async function useModel(run: string): Promise<void> {
  await attempt(async () => {
    await api.useModel(run);
    await loadServer();
    if (unpredicted.value > 0) tell("The model is in use. It has not predicted yet: see step 1, Predict.");
  });
}

export async function setDone(done: boolean): Promise<void> {
  const opened = view.value;
  if (!opened) return;
  const answer = await attempt(() => api.setDone(opened.id, done));
  if (answer && view.value?.id === opened.id) view.value = { ...view.value, done };
}

export const takePrediction = () => submit({ kind: "take-prediction", which: "prediction" });
export const takeOwnMasks = () => submit({ kind: "take-own-masks" });

/** Opens the image `by` places further in the list. */
export function stepImage(by: 1 | -1): void {
  const rows = images.value;
  const at = rows.findIndex(({ id }) => id === view.value?.id);
  const next = rows[Math.max(0, Math.min(rows.length - 1, at + by))];
  if (next) goTo({ page: "image", image: next.id });
}

export function openNextToCorrect(): void {
  const next = toCorrect.value.find((id) => id !== view.value?.id);
  if (next === undefined) tell("No image is left to correct.");
  else goTo({ page: "image", image: next });
}
