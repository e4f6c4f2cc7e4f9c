// The loop of studio with the real engine: predict, correct, train, stop, resume, use the new model, compare.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compiledFile } from "../../lib/compiledFile.js";
import type {
  EditAnswer,
  ImageRow,
  ImageView,
  Job,
  Proposal,
  Run,
  RunComparison,
  RunRow,
  State,
} from "../../lib/studio/api.js";
import { runSchema } from "../../lib/studio/api.js";
import { openEngineModel } from "../../lib/studio/engineModel.js";
import { type Client, clientOf, studioOf, until, writeDrawn } from "../unit/studio-fixture.js";

type Studio = Awaited<ReturnType<typeof studioOf>>;

const names = ["a", "b", "c", "d", "e"];
let studio: Studio;
let client: Client;
beforeAll(async () => {
  studio = await studioOf(
    async (folder) => {
      await mkdir(join(folder, "masks"));
      for (const [i, name] of names.entries()) {
        const discs = [
          [20 + 5 * i, 22, 9],
          [60, 40 + 3 * i, 11],
          [100, 25 + 8 * i, 8],
        ] as const;
        // The last one has no masks: it is not corrected.
        await writeDrawn(folder, name, discs, i < 4);
      }
    },
    { masks: true, openModel: openEngineModel },
  );
  client = studio.client();
});
afterAll(() => studio.close());

const rows = async () => (await client.json<{ images: ImageRow[] }>("/api/images")).images;
const row = async (name: string) => (await rows()).find((one) => one.name === `${name}.png`) as ImageRow;
const ended = (job: Job) =>
  until(async () =>
    (await client.json<{ jobs: Job[] }>("/api/jobs")).jobs.find(({ id, ended }) => id === job.id && ended !== null),
  );
/** A job that has failed tells why, in place of a test that waits for it. */
const working = async (job: Job) => {
  const { jobs } = await client.json<{ jobs: Job[] }>("/api/jobs");
  const { state, message } = jobs.find(({ id }) => id === job.id) as Job;
  if (state === "failed") throw new Error(message ?? state);
};
const run = (name: string) => client.json<Run>(`/api/runs/${name}`);

describe("the loop", () => {
  it("predicts with the network that is shipped, and answers clicks", async () => {
    expect(await row("a")).toMatchObject({ state: "own", score: null });
    expect(await ended(await client.json<Job>("/api/predict", { images: "all" }))).toMatchObject({ state: "done", done: 5 });
    expect(await row("e")).toMatchObject({ state: "predicted", next: expect.any(Number) });
    const { id } = await row("e");
    const first = await client.json<Proposal>(`/api/images/${id}/segment`, { points: [[60.5, 52.5]], labels: [1] });
    const [x0, y0, x1, y1] = first.bounds ?? [0, 0, 0, 0];
    expect(x0 <= 60 && 60 < x1 && y0 <= 52 && 52 < y1).toBe(true);
    expect(first.mask.reduce((sum, length) => sum + length)).toBe((x1 - x0) * (y1 - y0));
    const points = [
      [60.5, 52.5],
      [5.5, 5.5],
    ];
    const second = await client.json<Proposal>(`/api/images/${id}/segment`, { points, labels: [1, 0], refine: first.proposal });
    expect(second.proposal).toBe(first.proposal + 1);
    const box = await client.json<Proposal>(`/api/images/${id}/segment`, { box: [45, 38, 75, 68] });
    expect(box.outline.length).toBeGreaterThan(0);
  });

  it("takes masks as corrections, holds images out, and measures on them", async () => {
    for (const name of names.slice(0, 4)) {
      const { id } = await row(name);
      await client.json(`/api/images/${id}/done`, { done: true });
    }
    const sides = await Promise.all(names.map(async (name) => (await row(name)).split));
    expect(sides.slice(0, 2)).toEqual(["training", "validation"]);
    expect(sides[4]).toBe(null);
    await until(async () => (await row("a")).f1 !== null);
    const { f1, f1Before, next, state } = await row("b");
    expect(state).toBe("corrected");
    expect(f1 === null || (f1 >= 0 && f1 <= 1)).toBe(true);
    expect([f1Before, next]).toEqual([null, null]);
  });

  it("trains an ordinary experiment in a process of its own", async () => {
    const job = await client.json<Job>("/api/train", { epochs: 1 });
    expect(job).toMatchObject({ kind: "train", run: "run-1", total: 2 });
    await expect(client.json("/api/train", { name: "run-1" })).rejects.toThrow(/409.*already/);
    expect(await ended(job)).toMatchObject({ state: "done", done: 2, message: null });
    const found = runSchema.parse(await run("run-1"));
    expect(found).toMatchObject({ state: "finished", done: 2, total: 2, f1: expect.any(Number), f1Before: expect.any(Number) });
    expect(found.epochs.map(({ stage, epoch }) => [stage, epoch])).toEqual([
      [1, 1],
      [2, 1],
    ]);
    // The best epoch of the only one is the model that is measured at the end.
    expect(found.epochs.map(({ scores }) => scores?.f1)).toEqual([expect.any(Number), found.f1]);
    expect(found.trainImages).toBe((await rows()).filter(({ split }) => split === "training").length);
    expect(readdirSync(join(studio.out, "data", "run-1", "masks"))).toHaveLength(4);
    const report = await client.get("/api/runs/run-1/report");
    expect([report.status, report.headers.get("content-security-policy")]).toEqual([200, expect.stringContaining("sandbox")]);
    expect((await client.json<{ text: string }>("/api/runs/run-1/log")).text).toContain("run-1");
  });

  it("stops a training and goes on with it", async () => {
    const job = await client.json<Job>("/api/train", { name: "second", epochs: 2, from: "default" });
    await until(async () => {
      await working(job);
      const { runs } = await client.json<{ runs: RunRow[] }>("/api/runs");
      return runs.some(({ name, done }) => name === "second" && done > 0);
    });
    await client.post("/api/runs/second/stop");
    expect(await ended(job)).toMatchObject({ state: "cancelled" });
    expect(await run("second")).toMatchObject({ state: "stopped", total: 4, weights: true });
    const again = await client.json<Job>("/api/runs/second/resume", {});
    expect(await ended(again)).toMatchObject({ state: "done" });
    expect(await run("second")).toMatchObject({ state: "finished", done: 4 });
    const { images } = await client.json<RunComparison>("/api/compare?a=run-1&b=second");
    expect(images).toMatchObject({ unit: "image" });
  });

  it("uses the new model, and keeps what the one before has predicted", async () => {
    const state = await client.json<State>("/api/model", { run: "run-1" });
    expect(state).toMatchObject({ model: { run: "run-1" }, before: { run: "default" }, modelError: null });
    expect(await row("e")).toMatchObject({ state: "none", score: null });
    await ended(await client.json<Job>("/api/predict", { images: "all" }));
    await until(async () => (await row("b")).f1Before !== null && (await row("b")).f1 !== null);
    const { disagreement, id } = await row("e");
    expect(disagreement === null || (disagreement >= 0 && disagreement <= 1)).toBe(true);
    expect(await client.json<ImageView>(`/api/images/${id}`)).toMatchObject({ prediction: true, before: true });
    const view = await client.json<ImageView>(`/api/images/${id}`);
    const edit = { kind: "take-prediction", which: "before" };
    const { bounds, undo } = await client.json<EditAnswer>(`/api/images/${id}/edits`, { revision: view.revision, edit });
    expect(undo).toBe(bounds === null ? 0 : 1);
    client = await studio.restart();
    expect(await client.json<State>("/api/state")).toMatchObject({ model: { run: "run-1" }, before: { run: "default" } });
    expect(await row("b")).toMatchObject({ state: "corrected", split: "validation" });
    expect(existsSync(join(studio.out, "predictions", "run-1", "labels", "e.tif"))).toBe(true);
  });

  it("shows a training of the command line as it runs, and stops it", async () => {
    const data = join(studio.out, "data", "run-1");
    const flags = ["--images", join(data, "images"), "--masks", join(data, "masks"), "--weights", "cellsam-tiny"];
    const where = ["--output-dir", join(studio.folder, "output"), "--name", "watched", "--threads", "1"];
    const program = compiledFile(join("cli", "main.js"));
    const child = spawn(process.execPath, [program, "train", "--watch", ...flags, ...where], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    const ended = once(child, "close");
    const address = await new Promise<string>((found) => {
      createInterface({ input: child.stderr }).on("line", (line) => {
        const [, text] = /^watch it at (\S+)$/.exec(line) ?? [];
        if (text) found(text);
      });
    });
    const page = clientOf(address);
    expect(await page.json<State>("/api/state")).toMatchObject({ mode: "runs", images: 0, jobs: [] });
    expect((await page.get("/api/images")).status).toBe(404);
    const listed = async () => (await page.json<{ runs: RunRow[] }>("/api/runs")).runs.find(({ name }) => name === "watched");
    await until(async () => ((await listed())?.done ?? 0) > 0);
    expect(await listed()).toMatchObject({ state: "running", total: 50 });
    expect((await page.post("/api/runs/watched/stop")).status).toBe(200);
    expect(await ended).toEqual([75, null]);
  });

  it("never writes to the images and the masks", () => {
    expect(readdirSync(join(studio.folder, "masks")).sort()).toEqual(["a.tif", "b.tif", "c.tif", "d.tif"]);
    expect(readdirSync(join(studio.folder, "images"))).toHaveLength(5);
  });
});
