/** Starts the page: reads its address, opens the connection, and follows both. */
import { effect, untracked } from "@preact/signals";
import { render } from "preact";
import type { EventData, EventName } from "../api.js";
import { listen } from "./api/events.js";
import { App } from "./app.js";
import { handleKeys } from "./commands/keyboard.js";
import { client, work } from "./state/edits.js";
import { colourLayer, showImage, showImageAgain, view } from "./state/image.js";
import { trainOptions } from "./state/loop.js";
import { attempt, tell } from "./state/messages.js";
import { clearProposal } from "./state/proposal.js";
import { followAddress, goTo, route } from "./state/route.js";
import { loadRuns, run, runChanged, runs, showRun, showRunAgain, stepDone } from "./state/runs.js";
import {
  connection,
  imageChanged,
  images,
  jobChanged,
  loadServer,
  memoryChanged,
  modelChanged,
  ranksChanged,
  server,
  training,
} from "./state/server.js";
import { layer } from "./state/settings.js";

type Handlers = { [Name in EventName]: (data: EventData<Name>) => void };

const handlers: Handlers = {
  labels: ({ image, revision, by }) => {
    if (by === client || view.value?.id !== image || view.value.revision >= revision) return;
    void attempt(showImageAgain);
    // Without a name it was the server: a prediction has come, or another model is used.
    if (by !== null) tell("Another window changed this image: its labels are shown.");
  },
  image: (row) => {
    imageChanged(row);
    // A prediction has come, or somebody else has said that it is corrected.
    const open = view.value;
    if (open?.id === row.id && (row.state === "corrected") !== open.done) view.value = { ...open, done: !open.done };
  },
  next: ranksChanged,
  job: (job) => {
    jobChanged(job);
    if (job.state === "failed" && job.message) tell(`${job.title}: ${job.message}`, { kind: "error" });
    if (job.state === "done" && job.kind === "predict") void attempt(showImageAgain);
    if (job.ended && job.kind === "train") void attempt(loadRuns);
  },
  run: runChangedOrNew,
  step: stepDone,
  model: (change) => {
    modelChanged(change);
    void attempt(showImageAgain);
  },
  memory: memoryChanged,
};

function runChangedOrNew(row: EventData<"run">): void {
  runChanged(row);
  if (row.state !== "running" && run.value?.name === row.name) void attempt(showRunAgain);
}

/** The lists that were asked for last: events that come before them wait, as the lists may be older. */
let lists: Promise<unknown> = Promise.resolve();

/** Everything anew: at the beginning, and when a server is there again. */
async function load(): Promise<void> {
  const loaded = loadServer();
  lists = loaded.catch(() => undefined);
  await loaded;
  await loadRuns();
  const presets = (server.value?.presets ?? []).map(({ name }) => name);
  const { preset } = trainOptions.value;
  if (!presets.includes(preset)) trainOptions.value = { ...trainOptions.value, preset: presets[0] ?? preset };
  connection.value = "open";
  if (server.value?.mode === "runs" && route.value.page === "image") goTo({ page: "runs", run: null });
  await showImageAgain();
  await showRunAgain();
  void work();
}

async function signedOut(): Promise<boolean> {
  return fetch("api/state").then(
    ({ status }) => status === 401 || status === 403,
    () => false,
  );
}

followAddress();
handleKeys();
render(<App />, document.getElementById("page") as HTMLElement);

listen({
  opened: () => {
    const wasLost = connection.value === "lost" || connection.value === "signed-out";
    void load().then(
      () => wasLost && tell("The server is there again."),
      (error) => tell((error as Error).message, { kind: "error" }),
    );
  },
  lost: () => {
    if (connection.value === "open") connection.value = "lost";
    void signedOut().then((out) => {
      if (connection.value !== "open") connection.value = out ? "signed-out" : "lost";
    });
  },
  event: (name, data) => void lists.then(() => (handlers[name] as (data: unknown) => void)(data)),
});

// The image of the address; without one the first that can be read.
effect(() => {
  const at = route.value;
  if (connection.value !== "open" || at.page !== "image") return;
  const known = images.value.length > 0;
  untracked(() => {
    const first = images.value.find(({ problem }) => problem === null);
    if (at.image === null && first) return goTo({ page: "image", image: first.id });
    if (at.image === null || !known) return;
    if (view.value?.id !== at.image) clearProposal();
    void attempt(() => showImage(at.image as number));
  });
});

// Predictions have colours once they are looked at, and new ones with every new prediction.
effect(() => {
  const which = layer.value;
  if (view.value) void untracked(() => attempt(() => colourLayer(which)));
});

// The run of the address; on the page of images the one that trains.
effect(() => {
  const at = route.value;
  const name = at.page === "runs" ? at.run : at.page === "image" ? (training.value?.run ?? null) : null;
  if (connection.value !== "open" || !runs.value.some((row) => row.name === name)) return;
  untracked(() => void attempt(() => showRun(name)));
});

effect(() => {
  const { data = "" } = server.value ?? {};
  const name = view.value?.name;
  document.title = [route.value.page === "image" ? name : "Runs", data, "cellsam studio"].filter(Boolean).join(" – ");
});
