// The server of studio as programs and pages meet it: who may ask, what is refused, and what edits do.
import { existsSync, readdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeLabels } from "../../lib/data/decode.js";
import type { Cell, EditAnswer, ErrorAnswer, ImageRow, ImageView, Job, Proposal, State } from "../../lib/studio/api.js";
import { imageRowSchema, stateSchema } from "../../lib/studio/api.js";
import { serveStudio } from "../../lib/studio/serve.js";
import { type Client, height, standIn, studioOf, until, width, writeDrawn } from "./studio-fixture.js";

type Studio = Awaited<ReturnType<typeof studioOf>>;

const discs = [
  [20, 20, 8],
  [60, 40, 10],
  [100, 60, 6],
] as const;
const hostile = ["<script>alert(1)<", "a b'\"c", "日本語 🔬", "%2e%2e", "#?&=", "-rf"];

let studio: Studio;
let client: Client;
beforeAll(async () => {
  studio = await studioOf(async (folder) => {
    for (const name of ["one", "two"]) await writeDrawn(folder, name, discs);
    for (const name of hostile) await writeDrawn(folder, name, discs.slice(0, 1));
    await writeFile(join(folder, "images", "broken.png"), "no picture");
  });
  client = studio.client();
});
afterAll(() => studio.close());

const rows = async () => (await client.json<{ images: ImageRow[] }>("/api/images")).images;
const idOf = async (name: string) => (await rows()).find((row) => row.name === name)?.id as number;

const errorOf = async (answer: Response) => ((await answer.json()) as ErrorAnswer).error;

/** A request with headers that fetch does not let a program set. */
function raw(headers: Record<string, string>, path = "/api/state", method = "GET"): Promise<{ status: number; body: string }> {
  const { hostname, port } = new URL(client.origin);
  return new Promise((resolve, reject) => {
    const asked = request({ hostname, port, path, method, headers }, (answer) => {
      let body = "";
      answer.setEncoding("utf8").on("data", (text) => {
        body += text;
      });
      answer.on("end", () => resolve({ status: answer.statusCode as number, body }));
    });
    asked.on("error", reject).end();
  });
}

describe("the sign-in", () => {
  it("refuses everything without the token", async () => {
    const paths = ["/api/state", "/api/images", "/api/openapi.json", "/api/events", "/api/images/1/labels/0/0/0", "/nothing"];
    for (const path of paths) {
      const answer = await fetch(client.origin + path);
      expect([path, answer.status, (await errorOf(answer)).code]).toEqual([path, 401, "ERR_SIGN_IN"]);
    }
    expect((await client.get("/api/state", { authorization: "Bearer wrong" })).status).toBe(401);
    expect((await fetch(`${client.origin}/?token=${client.token.slice(1)}`)).status).toBe(401);
  });

  it("gives a browser a cookie that no script reads, with which everything answers", async () => {
    const answer = await fetch(client.address);
    const cookie = answer.headers.get("set-cookie") ?? "";
    expect(cookie).toMatch(/^cellsam-\d+=\S+; Path=\/; HttpOnly; SameSite=Strict$/);
    expect(await answer.text()).toContain('content="0; url=/"');
    const signed = await fetch(`${client.origin}/api/state`, { headers: { cookie: cookie.split(";")[0] as string } });
    expect(stateSchema.parse(await signed.json())).toMatchObject({ mode: "studio", images: 2 + hostile.length + 1 });
  });

  it("refuses another host and another origin, with the token too", async () => {
    const authorization = `Bearer ${client.token}`;
    const { host } = new URL(client.origin);
    expect((await raw({ authorization, host: "evil.example" })).status).toBe(403);
    expect((await raw({ authorization, host: "127.0.0.1.evil.example" })).status).toBe(403);
    for (const origin of ["http://evil.example", "null", `http://${host}.evil.example`, "http://127.0.0.1:1"]) {
      const { status, body } = await raw({ authorization, host, origin }, "/api/predict", "POST");
      expect([origin, status, JSON.parse(body).error.code]).toEqual([origin, 403, "ERR_SIGN_IN"]);
    }
    for (const own of ["localhost:9", "[::1]:9", host])
      expect((await raw({ authorization, host: own, origin: `http://${own}` })).status).toBe(200);
  });

  it("sends headers that keep a page from loading anything else", async () => {
    const { headers } = await client.get("/api/state");
    expect(headers.get("content-security-policy")).toContain("default-src 'none'; script-src 'self'");
    expect([headers.get("x-content-type-options"), headers.get("referrer-policy")]).toEqual(["nosniff", "no-referrer"]);
  });
});

describe("requests that are wrong", () => {
  const ways = [
    "..",
    "%2e%2e",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f",
    "....//",
    "..\\..",
    "%00",
    "/etc/passwd",
    "1%2f..",
    "-1",
    "1e9",
    "NaN",
    "",
  ];

  it("find no file by any parameter", async () => {
    const paths = (way: string) => [
      `/api/images/${way}`,
      `/api/images/1/pixels/${way}/0/0`,
      `/api/images/1/pixels/0/${way}/0`,
      `/api/images/1/pixels/0/0/${way}`,
      `/api/images/1/labels/${way}/0/0`,
      `/api/images/1/labels/0/0/0?which=${way || "x"}`,
      `/api/images/${way || "x"}/cells`,
      `/api/runs/${way || "x"}`,
      `/api/runs/${way || "x"}/log`,
      `/api/runs/${way || "x"}/report`,
      `/api/compare?a=${way}&b=${way}`,
      `/${way || "x"}`,
      `/page/${way || "x"}`,
    ];
    for (const way of ways) {
      for (const path of paths(way)) {
        const { status, body } = await raw(
          { authorization: `Bearer ${client.token}`, host: new URL(client.origin).host },
          path,
        );
        // The list itself is what stays of an address without its last part.
        if (status === 200) expect(["/api/images/", "/api/images/.."]).toContain(path);
        expect(status).toBeLessThan(500);
        expect(body).not.toContain("root:");
      }
    }
  });

  it("are named with what is wrong", async () => {
    const cases: [path: string, body: unknown, status: number, text: RegExp][] = [
      ["/api/images/1/edits", { revision: 0, edit: { kind: "explode" } }, 400, /the body is not as it should be/],
      ["/api/images/1/edits", { revision: 0, edit: { kind: "delete", cells: [99] } }, 400, /there is no cell 99/],
      ["/api/images/1/edits", { revision: 7, edit: { kind: "delete", cells: "all" } }, 409, /changed elsewhere/],
      ["/api/images/1/edits", { revision: 0, edit: { kind: "take-own-masks" } }, 404, /there are no masks/],
      [
        "/api/images/1/edits",
        { revision: 0, edit: { kind: "add", bounds: [0, 0, 9, 9], runs: [0, 5], over: "all" } },
        400,
        /cover 5 pixels/,
      ],
      [
        "/api/images/1/edits",
        { revision: 0, edit: { kind: "add", bounds: [100, 0, 900, 1], runs: [0, 800] } },
        400,
        /outside the image/,
      ],
      ["/api/images/999/done", { done: true }, 404, /there is no image 999/],
      ["/api/images/1/segment", { points: [[1, 1]], labels: [] }, 400, /as many labels as points/],
      ["/api/train", { name: "../x" }, 400, /letters, digits/],
      ["/api/train", {}, 400, /needs two images/],
      ["/api/model", { run: "nothing" }, 404, /there is no run nothing/],
      ["/api/jobs/5/cancel", {}, 404, /there is no job 5/],
    ];
    for (const [path, body, status, text] of cases) {
      const answer = await client.post(path, body);
      const error = await errorOf(answer);
      expect([path, answer.status]).toEqual([path, status]);
      expect(error.message).toMatch(text);
    }
    expect((await client.post("/api/predict", undefined, { "content-type": "text/plain" })).status).toBeGreaterThanOrEqual(400);
    const large = await client.post("/api/images/1/edits", {
      revision: 0,
      edit: { kind: "delete", cells: Array(9e6).fill(1) },
    });
    expect(large.status).toBe(413);
  });

  it("leave nothing behind", () => {
    expect(existsSync(join(studio.out, "drafts", "one.journal"))).toBe(false);
  });
});

describe("the list", () => {
  it("has every file under its own name, and says which is broken", async () => {
    const names = ["one.png", "two.png", "broken.png", ...hostile.map((name) => `${name}.png`)];
    const list = await until(async () => {
      const found = await rows();
      return found.every(({ width: across, problem }) => across !== null || problem !== null) && found;
    });
    expect(list.map(({ name }) => name).sort()).toEqual(names.sort());
    for (const row of list) imageRowSchema.parse(row);
    const broken = list.find(({ name }) => name === "broken.png");
    expect(broken).toMatchObject({ width: null, problem: expect.stringContaining("broken.png") });
    expect((await client.get(`/api/images/${broken?.id}`)).status).toBe(422);
    expect(list.find(({ name }) => name === "one.png")).toMatchObject({
      width,
      height,
      channels: 3,
      state: "none",
      next: null,
    });
  });

  it("has predictions, and the order in which to correct", async () => {
    const job = await client.json<Job>("/api/predict", { images: "all" });
    expect(job).toMatchObject({ kind: "predict", total: 2 + hostile.length + 1 });
    const ended = await until(async () => (await jobs()).find(({ id, ended }) => id === job.id && ended !== null));
    expect(ended).toMatchObject({ state: "done", done: job.total, message: expect.stringContaining("broken.png") });
    const found = await rows();
    expect(found.find(({ name }) => name === "two.png")).toMatchObject({ state: "predicted", cells: 3, score: 0.75 });
    expect(found.map(({ next }) => next).filter((next) => next !== null)).toHaveLength(2 + hostile.length);
    expect(readdirSync(join(studio.out, "predictions", "default", "labels"))).toContain("<script>alert(1)<.tif");
  });

  it("writes files of hostile names where they belong, and nowhere else", async () => {
    for (const name of hostile) {
      const id = await idOf(`${name}.png`);
      const { revision } = await client.json<ImageView>(`/api/images/${id}`);
      await client.json(`/api/images/${id}/edits`, { revision, edit: { kind: "accept", cells: "all" } });
      await client.json(`/api/images/${id}/done`, { done: true });
    }
    expect(readdirSync(join(studio.out, "corrections")).sort()).toEqual(hostile.map((name) => `${name}.tif`).sort());
    expect(readdirSync(studio.folder).sort()).toEqual(["images", "out"]);
  });
});

const jobs = async () => (await client.json<{ jobs: Job[] }>("/api/jobs")).jobs;

describe("an image", () => {
  it("opens with its levels, and gives tiles of pixels and labels", async () => {
    const id = await idOf("one.png");
    const view = await client.json<ImageView>(`/api/images/${id}`);
    expect(view).toMatchObject({
      width,
      height,
      tileSize: 512,
      levels: [{ width, height, columns: 1, rows: 1 }],
      prediction: true,
      before: false,
    });
    expect(view.channels.map(({ name, color, low, high }) => [name, color, low, high])).toEqual([
      ["red", "ff0000", 0, 255],
      ["green", "00ff00", 0, 255],
      ["blue", "0000ff", 0, 255],
    ]);
    const tile = await client.get(`/api/images/${id}/pixels/0/0/0?format=png`);
    expect(tile.headers.get("content-type")).toBe("image/png");
    const picture = await sharp(Buffer.from(await tile.arrayBuffer()))
      .raw()
      .toBuffer();
    expect([...picture.subarray(3 * (20 * width + 20), 3 * (20 * width + 20) + 3)]).toEqual([200, 120, 40]);
    // The green channel alone, from 100 to 140, in red: 120 is the middle.
    const shown = await client.get(`/api/images/${id}/pixels/0/0/0?format=png&channels=1&low=100&high=140&colors=ff0000`);
    const red = await sharp(Buffer.from(await shown.arrayBuffer()))
      .raw()
      .toBuffer();
    expect([...red.subarray(3 * (20 * width + 20), 3 * (20 * width + 20) + 3)]).toEqual([128, 0, 0]);
    const labels = await client.get(`/api/images/${id}/labels/0/0/0`);
    const ids = new Uint32Array(await labels.arrayBuffer());
    expect([ids.length, ids[20 * width + 20], ids[40 * width + 60], ids[0]]).toEqual([width * height, 1, 2, 0]);
    expect(labels.headers.get("x-revision")).toBe(String(view.revision));
    expect((await client.get(`/api/images/${id}/labels/1/0/0`)).status).toBe(404);
    expect((await client.get(`/api/images/${id}/labels/0/0/0?which=before`)).status).toBe(404);
  });

  it("takes a proposal as a cell, which two clients see", async () => {
    const id = await idOf("one.png");
    const events = await listening(client);
    const { revision } = await client.json<ImageView>(`/api/images/${id}`);
    const proposal = await client.json<Proposal>(`/api/images/${id}/segment`, { points: [[90, 20]], labels: [1] });
    const edit = { kind: "add", bounds: proposal.bounds, runs: proposal.mask };
    const answer = await client.json<EditAnswer>(`/api/images/${id}/edits`, { revision, edit, client: "me" });
    expect(answer).toMatchObject({ revision: revision + 1, undo: 1, cells: [{ id: 4, state: "drawn", centre: [90, 20] }] });
    const late = await client.post(`/api/images/${id}/edits`, { revision, edit: { kind: "undo" } });
    expect([late.status, (await errorOf(late)).detail.revision]).toEqual([409, revision + 1]);
    expect(await events.next("labels")).toEqual({ image: id, revision: revision + 1, bounds: answer.bounds, by: "me" });
    expect(await until(async () => (await events.next("image")).state === "edited")).toBe(true);
    events.close();
    const { cells } = await client.json<{ cells: Cell[] }>(`/api/images/${id}/cells`);
    expect(cells.map(({ id, state, score }) => [id, state, score])).toEqual([
      [1, "predicted", 0.75],
      [2, "predicted", 0.75],
      [3, "predicted", 0.75],
      [4, "drawn", null],
    ]);
  });

  it("keeps edits, history and the mark of being done over a restart", async () => {
    const id = await idOf("one.png");
    await client.json(`/api/images/${id}/done`, { done: true });
    // A new prediction changes nothing of what edits began with.
    const job = await client.json<Job>("/api/predict", { images: [id] });
    await until(async () => (await jobs()).some((one) => one.id === job.id && one.ended !== null));
    const before = await client.json<ImageView>(`/api/images/${id}`);
    client = await studio.restart();
    const after = await client.json<ImageView>(`/api/images/${id}`);
    expect(after).toEqual(before);
    expect(after).toMatchObject({ undo: 1, redo: 0, done: true });
    const { cells } = await client.json<EditAnswer>(`/api/images/${id}/edits`, {
      revision: after.revision,
      edit: { kind: "undo" },
    });
    expect(cells).toEqual([]);
    await until(async () => (await decodeLabels(join(studio.out, "corrections", "one.tif"))).count === 3);
  });
});

describe("a folder that is no data", () => {
  it.each([
    ["without an image", async () => undefined, false, "ERR_NO_DATA"],
    ["with masks of other images", async (folder: string) => writeDrawn(folder, "one", discs), true, "ERR_PATH"],
  ] as const)("is refused %s, with what to do", async (_, fill, masks, code) => {
    await expect(studioOf(fill, { masks })).rejects.toMatchObject({ code });
  });

  it("is refused while another studio writes to its folder", async () => {
    const { data, out } = { data: join(studio.folder, "images"), out: studio.out };
    const options = { data, masks: null, out, settings: { weights: "cellsam-tiny" }, openModel: standIn };
    await expect(serveStudio(options, { host: "127.0.0.1", port: 0 })).rejects.toMatchObject({ code: "ERR_LOCKED" });
  });
});

/** The events of a server, by name, as they come. */
async function listening({ origin, token }: Client) {
  const controller = new AbortController();
  const answer = await fetch(`${origin}/api/events`, {
    headers: { authorization: `Bearer ${token}` },
    signal: controller.signal,
  });
  expect(answer.headers.get("content-type")).toBe("text/event-stream");
  const seen: { name: string; data: never }[] = [];
  void (async () => {
    let text = "";
    for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) {
      text += Buffer.from(chunk).toString();
      for (const part of text.split("\n\n").slice(0, -1)) {
        const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(part) ?? [];
        if (name && data) seen.push({ name, data: JSON.parse(data) as never });
      }
      text = text.slice(text.lastIndexOf("\n\n") + 2);
    }
  })().catch(() => undefined);
  return {
    next: (wanted: string) =>
      until<Record<string, unknown>>(async () => {
        const at = seen.findIndex(({ name }) => name === wanted);
        return at >= 0 && seen.splice(at, 1)[0]?.data;
      }),
    close: () => controller.abort(),
  };
}

describe("the description of the interface", () => {
  it("is OpenAPI whose schemas are JSON Schema, for every route", async () => {
    const document = await client.json<{
      openapi: string;
      paths: Record<string, Record<string, Operation>>;
      components: object;
    }>("/api/openapi.json");
    expect(document.openapi).toBe("3.1.0");
    const paths = Object.keys(document.paths);
    expect(paths).toContain("/api/images/{image}/pixels/{level}/{x}/{y}");
    expect(paths.length).toBeGreaterThan(15);
    const ajv = new Ajv2020({ strict: false, formats: { "date-time": true } });
    const names = new Set<string>();
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const { operationId, parameters = [], requestBody, responses } of Object.values(methods)) {
        names.add(operationId);
        const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
        expect(parameters.filter((one) => one.in === "path").map(({ name }) => name)).toEqual(inPath);
        const contents = [requestBody?.content, responses["200"]?.content].flatMap((content) => Object.values(content ?? {}));
        for (const schema of [...parameters, ...contents].map((one) => one.schema)) if (schema) ajv.compile(schema);
      }
    }
    expect(names.size).toBe(Object.values(document.paths).flatMap((methods) => Object.keys(methods)).length);
    // The schema of a body takes what the server takes.
    const body = document.paths["/api/images/{image}/edits"]?.post?.requestBody?.content["application/json"]?.schema;
    const takes = ajv.compile(body as object);
    expect(takes({ revision: 0, edit: { kind: "delete", cells: "all" } })).toBe(true);
    expect(takes({ revision: 0, edit: { kind: "delete", cells: "some" } })).toBe(false);
  });
});

interface Operation {
  operationId: string;
  parameters?: { name: string; in: string; schema: object }[];
  requestBody?: { content: Record<string, { schema?: object }> };
  responses: Record<string, { content: Record<string, { schema?: object }> }>;
}

it("says what it is", async () => {
  const state = await client.json<State>("/api/state");
  expect(state).toMatchObject({
    model: { run: "default", label: "cellsam-tiny" },
    before: null,
    corrected: hostile.length + 1,
  });
});
