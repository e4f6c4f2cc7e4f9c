/** The experiments of the folder, and the one that is looked at. */
import { computed, signal } from "@preact/signals";
import type { EventData, Run, RunRow } from "../../api.js";
import { getLog, getRun, getRuns } from "../api/client.js";
import { Shown } from "./shown.js";

export const runs = signal<readonly RunRow[]>([]);
export const run = signal<Run | null>(null);
export const log = signal("");
/** The newest first. */
export const newestRuns = computed(() => [...runs.value].sort((a, b) => b.changed.localeCompare(a.changed)));

export async function loadRuns(): Promise<void> {
  runs.value = await getRuns();
}

const shown = new Shown<string>();

/** Opens a run; `null` closes the one that is open. @throws {Refused} {@link Unreachable} */
export async function showRun(name: string | null): Promise<void> {
  if (shown.wanted === name) return;
  shown.want(name);
  if (name === null) run.value = null;
  else await load();
}

/** Looks again at the run that is open, or at the one that is to be. @throws {Refused} {@link Unreachable} */
export const showRunAgain = (): Promise<void> => load();

async function load(): Promise<void> {
  const name = shown.wanted;
  const answer = await shown
    .ask((name) => Promise.all([getRun(name), getLog(name).catch(() => "")]))
    .catch(async (error: unknown) => {
      if (run.value?.name !== name) await showRun(null);
      throw error;
    });
  if (answer) [run.value, log.value] = answer;
}

export function runChanged(row: RunRow): void {
  runs.value = [...runs.value.filter(({ name }) => name !== row.name), row];
  shown.changed(row.name);
  const open = run.value;
  if (open?.name !== row.name) return;
  const { epoch } = row;
  const known = (other: Run["epochs"][number]) =>
    other.fold === epoch?.fold && other.stage === epoch.stage && other.epoch === epoch.epoch;
  const epochs = epoch && !open.epochs.some(known) ? [...open.epochs, epoch] : open.epochs;
  run.value = { ...open, ...row, epochs };
  void getLog(row.name)
    .then((text) => {
      if (run.value?.name === row.name) log.value = text;
    })
    .catch(() => undefined); // it is asked for again at the next epoch
}

export function stepDone({ run: name, ...step }: EventData<"step">): void {
  const open = run.value;
  if (open?.name !== name) return;
  const same = open.steps.at(-1);
  const steps = same?.stage === step.stage && same.epoch === step.epoch ? open.steps : [];
  run.value = { ...open, steps: [...steps, step] };
}
