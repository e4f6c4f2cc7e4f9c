/** The cell that the network proposes for the clicks and the box that were given to it, before anything is changed. */
import { batch, computed, signal } from "@preact/signals";
import type { Proposal, SegmentBody } from "../../api.js";
import { Refused, segment } from "../api/client.js";
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
/** The newest prompt that was answered: one that is refused gives way to it. */
let settled: Prompt = nothing;
/** The network sees one tile at a time. */
const TOO_FAR = "This point is too far from the first one: accept or clear the proposal first.";
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
    const answer = await segment(image, body, question.signal);
    if (asking.value !== question) return;
    settled = next;
    latency.value = performance.now() - began;
    proposal.value = answer;
    if (!answer.bounds) tell("The network finds no cell there: add a point, or draw it with the brush.");
  } catch (error) {
    if (asking.value !== question) return;
    prompt.value = settled;
    if (error instanceof Refused && error.code === "ERR_TOO_FAR_APART") tell(TOO_FAR, { kind: "error", passes: true });
    else await attempt(() => Promise.reject(error));
  } finally {
    if (asking.value === question) asking.value = null;
  }
}

/** Gives up what was proposed, and the selection. */
export function escapeProposal(): void {
  clearProposal();
  select([]);
}

export function clearProposal(): void {
  asking.value?.abort();
  batch(() => {
    asking.value = null;
    prompt.value = nothing;
    proposal.value = null;
  });
  settled = nothing;
}

/** Makes the proposal a cell. It stays drawn until the labels show it. */
export async function acceptProposal(): Promise<void> {
  const { bounds, mask, score } = proposal.value ?? {};
  if (!bounds || !mask) return;
  const over = overOthers.value ? "all" : "background";
  await submit({ kind: "add", bounds, runs: mask, over, score: Math.max(0, Math.min(1, score ?? 0)) });
  clearProposal();
  // Brush and eraser are for another cell now.
  select([]);
}
