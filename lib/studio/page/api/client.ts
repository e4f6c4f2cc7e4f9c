/** Requests to the server of `cellsam studio`; the browser sends the cookie of the sign-in with them. */
import type {
  Cell,
  EditAnswer,
  EditBody,
  ErrorAnswer,
  ImageRow,
  ImageView,
  Job,
  Layer,
  PredictBody,
  Proposal,
  Run,
  RunComparison,
  RunRow,
  SegmentBody,
  State,
  TrainBody,
} from "../../api.js";

/** The server answered that it will not do what it was asked. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly detail: Record<string, unknown>,
  ) {
    super(message);
  }
}

/** No answer came: the server is gone, or the way to it. */
export class Unreachable extends Error {}

/** @throws {Refused} {@link Unreachable} */
async function send(path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  const init: RequestInit =
    body === undefined ? {} : { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  const answer = await fetch(`api/${path}`, { ...init, ...(signal && { signal }) }).catch((error: Error) => {
    if (error.name === "AbortError") throw error;
    throw new Unreachable("The server does not answer.");
  });
  if (answer.ok) return answer;
  const { error } = (await answer.json().catch(() => ({}))) as Partial<ErrorAnswer>;
  throw new Refused(answer.status, error?.code ?? "", error?.message ?? `HTTP ${answer.status}`, error?.detail ?? {});
}

async function json<Answer>(path: string, body?: unknown, signal?: AbortSignal): Promise<Answer> {
  return (await send(path, body, signal)).json();
}

const run = (name: string) => `runs/${encodeURIComponent(name)}`;

export const getState = () => json<State>("state");
export const getImages = async () => (await json<{ images: ImageRow[] }>("images")).images;
export const openImage = (image: number) => json<ImageView>(`images/${image}`);
export const getCells = async (image: number, which: Layer = "labels") =>
  (await json<{ cells: Cell[] }>(`images/${image}/cells?which=${which}`)).cells;
export const segment = (image: number, body: SegmentBody, signal: AbortSignal) =>
  json<Proposal>(`images/${image}/segment`, body, signal);
export const edit = (image: number, body: EditBody) => json<EditAnswer>(`images/${image}/edits`, body);
export const setDone = (image: number, done: boolean) => send(`images/${image}/done`, { done });
export const predict = (images: PredictBody["images"]) => json<Job>("predict", { images });
export const train = (body: TrainBody) => json<Job>("train", body);
export const cancelJob = (job: number) => send(`jobs/${job}/cancel`, {});
export const useModel = (name: string) => send("model", { run: name });
export const getRuns = async () => (await json<{ runs: RunRow[] }>("runs")).runs;
export const getRun = (name: string) => json<Run>(run(name));
export const getLog = async (name: string) => (await json<{ text: string }>(`${run(name)}/log`)).text;
export const stopRun = (name: string) => send(`${run(name)}/stop`, {});
export const resumeRun = (name: string) => json<Job>(`${run(name)}/resume`, {});
export const reportAddress = (name: string) => `api/${run(name)}/report`;
export const compareRuns = (a: string, b: string) =>
  json<RunComparison>(`compare?a=${encodeURIComponent(a)}&b=${encodeURIComponent(b)}`);

/** Ids of a tile of labels, and the revision that they are of. */
export async function labelTile(image: number, which: Layer, tile: string, signal: AbortSignal): Promise<Uint32Array> {
  const answer = await send(`images/${image}/labels/${tile}?which=${which}`, undefined, signal);
  return new Uint32Array(await answer.arrayBuffer());
}

/** A picture of up to three channels as its red, green and blue, each stretched from its `low` to its `high`. */
export async function pixelTile(
  image: number,
  tile: string,
  channels: readonly { index: number; low: number; high: number }[],
  signal: AbortSignal,
): Promise<Blob> {
  const query = new URLSearchParams({
    channels: channels.map(({ index }) => index).join(),
    low: channels.map(({ low }) => low).join(),
    high: channels.map(({ high }) => high).join(),
    colors: ["ff0000", "00ff00", "0000ff"].slice(0, channels.length).join(),
    format: "png",
  });
  return (await send(`images/${image}/pixels/${tile}?${query}`, undefined, signal)).blob();
}

/** Address of the whole image as a picture of at most one tile, for lists. */
export function thumbnail({ id, width, height }: ImageRow, tileSize = 512): string {
  const level = Math.max(0, Math.ceil(Math.log2(Math.max(width ?? 1, height ?? 1) / tileSize)));
  return `api/images/${id}/pixels/${level}/0/0`;
}
