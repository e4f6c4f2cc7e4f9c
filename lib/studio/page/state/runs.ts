/** The experiments of the folder, and the one that is looked at. */
import { computed, signal } from "@preact/signals";
import type { EventData, Run, RunRow } from "../../api.js";
import { getLog, getRun, getRuns } from "../api/client.js";

export const runs = signal<readonly RunRow[]>([]);
export const run = signal<Run | null>(null);
export const log = signal("");
/** The newest first. */
export const newestRuns = computed(() => [...runs.value].sort((a, b) => b.changed.localeCompare(a.changed)));

export async function loadRuns(): Promise<void> {
  runs.value = await getRuns();
}

/** Opens a run; `null` closes the one that is open. */
export async function showRun(name: string | null): Promise<void> {
  if (name === null) {
    run.value = null;
    return;
  }
  const opened = await getRun(name);
  run.value = opened;
  log.value = await getLog(name).catch(() => "");
}

export function runChanged(row: RunRow): void {
  runs.value = [...runs.value.filter(({ name }) => name !== row.name), row];
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
