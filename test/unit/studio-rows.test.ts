// The list of images with many of them: what a change costs does not grow with their number. Calls are counted, not seconds.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { EventData, EventName } from "../../lib/studio/api.js";
import { Events } from "../../lib/studio/events.js";
import { StudioFolder } from "../../lib/studio/folder.js";
import type { ImageList, StudioImage } from "../../lib/studio/imageList.js";
import type { Models } from "../../lib/studio/models.js";
import type { Predictions } from "../../lib/studio/predictions.js";
import { RowFeed } from "../../lib/studio/rowFeed.js";
import { Rows } from "../../lib/studio/rows.js";
import type { Workspace } from "../../lib/studio/workspace.js";
import { until } from "./studio-fixture.js";

const calls = { facts: 0, ranked: 0, measured: 0 };
vi.mock("../../lib/evaluation/pairs.js", () => ({
  // The agreement of two models is other for each image: 0, 1/1000, 2/1000, ...
  evaluatePair: async ({ data: [id = 0] }: { data: number[] }) => {
    calls.measured++;
    return { f1: 0.5, ap50: (id % 1000) / 1000 };
  },
}));
vi.mock("../../lib/studio/next.js", async (original) => {
  const next = await original<typeof import("../../lib/studio/next.js")>();
  return {
    ...next,
    ranks: (candidates: Parameters<typeof next.ranks>[0]) => {
      calls.ranked++;
      return next.ranks(candidates);
    },
  };
});

const number = 5000;
const images: StudioImage[] = Array.from({ length: number }, (_, i) => ({
  ...{ id: i + 1, file: `${i + 1}.png`, name: `${i + 1}`, path: `${i + 1}.png`, mask: null },
}));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-rows-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** Of the cell of an image that has another score than most. */
const scores = new Map<string, number>();

/** Predictions of one cell in every image, whose label map is a single pixel with the image's number. */
function predictions(): Predictions {
  return {
    facts: async (name: string) => {
      calls.facts++;
      return { cells: 1, scores: [scores.get(name) ?? 0.5] };
    },
    made: () => 0,
    labels: async (name: string) => Int32Array.of(Number(name)),
  } as unknown as Predictions;
}

async function listOf(before: Predictions | null) {
  const list = { images, facts: () => ({ width: 1, height: 1, channels: 1 }) } as unknown as ImageList;
  const models = { predictions: predictions(), predictionsBefore: before, current: { run: "b" }, previous: { run: "a" } };
  const workspace = { openLabels: () => undefined } as unknown as Workspace;
  const rows = new Rows(await StudioFolder.open(folder), list, models as unknown as Models, workspace);
  const events = new Events();
  const told: { name: EventName; data: unknown }[] = [];
  events.emit = (name, data) => void told.push({ name, data });
  const of = <Name extends EventName>(wanted: Name) =>
    told.filter(({ name }) => name === wanted).map(({ data }) => data as EventData<Name>);
  return { rows, feed: new RowFeed(rows, events), events, of };
}

describe(`a list of ${number} images`, () => {
  it("looks at each image a few times, and ranks all once before and once after they are measured", async () => {
    Object.assign(calls, { facts: 0, ranked: 0, measured: 0 });
    const { rows, feed, events, of } = await listOf(predictions());
    for (const image of images) feed.changed(image);
    // Without scores the list is in the order of the numbers; with them, where the models agree least comes first.
    await until(async () => of("next").length === 2);
    await feed.close();
    events.close();
    expect(calls).toEqual({ facts: 4 * number, ranked: 2, measured: number });
    expect(of("image")).toHaveLength(2 * number);
    expect(of("next")[0]?.images).toEqual(images.map(({ id }) => id));
    expect(of("next")[1]?.images.slice(0, 6)).toEqual([1000, 2000, 3000, 4000, 5000, 1]);
    expect(rows.known(images[999] as StudioImage)).toMatchObject({ disagreement: 1, next: 1 });
    expect(of("next")[1]?.images).toEqual(
      (await rows.all()).sort((a, b) => Number(a.next) - Number(b.next)).map(({ id }) => id),
    );
  });

  it("tells one row and the ranks when one image changes", async () => {
    Object.assign(calls, { facts: 0, ranked: 0 });
    const { feed, events, of } = await listOf(null);
    for (const image of images) feed.changed(image);
    // Looked at, and looked for what is to be measured.
    await until(async () => of("image").length === number && calls.facts === 2 * number);
    Object.assign(calls, { facts: 0, ranked: 0 });
    scores.set("1", 0.75);
    feed.changed(images[0] as StudioImage);
    await until(async () => of("next").length === 2);
    await feed.close();
    events.close();
    expect(calls).toMatchObject({ facts: 2, ranked: 2 });
    expect(of("image").slice(number)).toMatchObject([{ id: 1, score: 0.75 }]);
    expect(of("next")[1]?.images.slice(-2)).toEqual([number, 1]);
  });
});
