/** What the server has said of itself, its images and its jobs, kept up to date by its events. */
import { batch, computed, signal } from "@preact/signals";
import type { EventData, ImageRow, Job, State } from "../../api.js";
import { getImages, getState } from "../api/client.js";

export const server = signal<State | null>(null);
export const images = signal<readonly ImageRow[]>([]);
/** `signed-out`: the server has another token than this page. */
export const connection = signal<"opening" | "open" | "lost" | "signed-out">("opening");

export const jobs = computed<readonly Job[]>(() => server.value?.jobs ?? []);
const goesOn = ({ state }: Job) => state === "waiting" || state === "running";
export const predicting = computed(() => jobs.value.find((job) => job.kind === "predict" && goesOn(job)));
export const training = computed(() => jobs.value.find((job) => job.kind === "train" && goesOn(job)));

/**
 * Images that lost their labels with the model before: nobody has corrected them, and the model in use has not predicted them.
 */
export const unpredicted = computed(() =>
  server.value?.before ? images.value.filter(({ state, problem }) => state === "none" && !problem).length : 0,
);

/** Image ids, the one to correct next first. */
export const toCorrect = computed(() =>
  images.value
    .filter(({ next }) => next !== null)
    .sort((a, b) => (a.next as number) - (b.next as number))
    .map(({ id }) => id),
);

/** The page of `cellsam train --watch` has no images. */
export async function loadServer(): Promise<void> {
  const state = await getState();
  const rows = state.mode === "studio" ? await getImages() : [];
  batch(() => {
    server.value = state;
    images.value = rows;
  });
}

export function imageChanged(row: ImageRow): void {
  images.value = images.value.map((image) => (image.id === row.id ? row : image));
}

export function ranksChanged({ images: order }: EventData<"next">): void {
  const ranks = new Map(order.map((id, i) => [id, i + 1]));
  images.value = images.value.map((image) => ({ ...image, next: ranks.get(image.id) ?? null }));
}

export function jobChanged(job: Job): void {
  if (!server.value) return;
  const others = server.value.jobs.filter(({ id }) => id !== job.id);
  server.value = { ...server.value, jobs: [...others, job].sort((a, b) => a.id - b.id) };
}

/** What a request has started: events may have told more of it already. */
export function jobStarted(job: Job): void {
  if (!jobs.value.some(({ id }) => id === job.id)) jobChanged(job);
}

export function modelChanged({ model, before }: EventData<"model">): void {
  if (server.value) server.value = { ...server.value, model, before, modelError: null };
}

export function memoryChanged(memory: EventData<"memory">): void {
  if (server.value) server.value = { ...server.value, memory };
}
