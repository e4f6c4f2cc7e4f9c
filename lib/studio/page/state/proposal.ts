/** The cell that the network proposes for the clicks and the box that were given to it, before anything is changed. */
import { batch, computed, signal } from "@preact/signals";
import type { Proposal, SegmentBody } from "../../api.js";
import { segment } from "../api/client.js";
import { submit } from "./edits.js";
import { select, view } from "./image.js";
import { attempt, tell } from "./messages.js";
import { overOthers } from "./settings.js";

export interface Prompt {
  points: [number, number][];
  /** 1 for a point of the cell, 0 for one beside it. */
  labels: (0 | 1)[];
  box: [number, number, number, number] | null;
}

const nothing: Prompt = { points: [], labels: [], box: null };

export const prompt = signal<Prompt>(nothing);
export const proposal = signal<Proposal | null>(null);
/** Milliseconds from the last click to its proposal. */
export const latency = signal<number | null>(null);
const asking = signal<AbortController | null>(null);
export const isAsking = computed(() => asking.value !== null);

export function addPoint(point: readonly [number, number], label: 0 | 1): void {
  const { points, labels, box } = prompt.value;
  void ask({ points: [...points, [...point]], labels: [...labels, label], box }, proposal.value?.proposal);
}

export function setBox(box: readonly [number, number, number, number]): void {
  void ask({ points: [], labels: [], box: [...box] });
}

/**
 * Only the newest prompt matters: a question that is under way is given up.
 * @param refine the proposal for the same cell before
 */
async function ask(next: Prompt, refine?: number): Promise<void> {
  const image = view.value?.id;
  if (image === undefined) return;
  asking.value?.abort();
  const question = new AbortController();
  batch(() => {
    prompt.value = next;
    asking.value = question;
  });
  const began = performance.now();
  const { points, labels, box } = next;
  const body: SegmentBody = { points, labels, ...(box && { box }), ...(refine !== undefined && { refine }) };
  try {
    const answer = await attempt(() => segment(image, body, question.signal).catch(unlessGivenUp));
    if (!answer || asking.value !== question) return;
    latency.value = performance.now() - began;
    proposal.value = answer;
    if (!answer.bounds) tell("The network finds no cell there: add a point, or draw it with the brush.");
  } finally {
    if (asking.value === question) asking.value = null;
  }
}

function unlessGivenUp(error: Error): undefined {
  if (error.name !== "AbortError") throw error;
}

/** Gives up what was proposed; without that, the selection. */
export function escapeProposal(): void {
  const { points, box } = prompt.value;
  if (points.length > 0 || box) clearProposal();
  else select([]);
}

export function clearProposal(): void {
  asking.value?.abort();
  batch(() => {
    asking.value = null;
    prompt.value = nothing;
    proposal.value = null;
  });
}

/** Makes the proposal a cell. It stays drawn until the labels show it. */
export async function acceptProposal(): Promise<void> {
  const { bounds, mask, score } = proposal.value ?? {};
  if (!bounds || !mask) return;
  const over = overOthers.value ? "all" : "background";
  const answer = await submit({ kind: "add", bounds, runs: mask, over, score: Math.max(0, Math.min(1, score ?? 0)) });
  clearProposal();
  const [made] = answer?.cells ?? [];
  if (made) select([made.id]);
}
