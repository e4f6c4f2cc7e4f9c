/** A studio of drawn images with a stand-in for the network, for the tests of the server. */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectedComponents } from "../../lib/data/labels.js";
import { writeLabels, writeRgbPng } from "../../lib/data/write.js";
import type { Bounds } from "../../lib/studio/api.js";
import type { OpenStudioModel, StudioModel } from "../../lib/studio/models.js";
import { runLengthsOf } from "../../lib/studio/runLengths.js";
import { type Served, serveStudio } from "../../lib/studio/serve.js";

export const [height, width] = [80, 120];

/** Discs on a darker ground, [H,W,3] in colours that are not read as grey, and their label map. */
export function drawnCells(discs: readonly (readonly [x: number, y: number, radius: number])[]) {
  const pixels = Uint8Array.from({ length: height * width * 3 }, (_, i) => [30, 20, 90][i % 3] as number);
  const labels = new Int32Array(height * width);
  for (const [i, [cx, cy, radius]] of discs.entries()) {
    for (let at = 0; at < height * width; at++) {
      if (Math.hypot((at % width) + 0.5 - cx, Math.floor(at / width) + 0.5 - cy) > radius) continue;
      labels[at] = i + 1;
      pixels.set([200, 120, 40], 3 * at);
    }
  }
  return { pixels, labels: { data: labels, shape: [height, width] } };
}

/** Every bright region is a cell; a click gives a disc of radius 5. */
export const standIn: OpenStudioModel = async () => {
  const model: StudioModel = {
    concurrency: 1,
    predict: async ({ data, shape: [high, wide, channels = 1] }) => {
      const bright = Array.from({ length: high * wide }, (_, at) => ((data[at * channels] as number) > 100 ? 1 : 0));
      const { count, ...labels } = connectedComponents(bright, high, wide);
      const rows = (value: number, columns = 1) => ({
        data: new Float64Array(count * columns).fill(value),
        shape: [count, columns],
      });
      return { labels, count, scores: rows(0.75), ious: rows(0.8), boxes: rows(0, 4) };
    },
    view: async ({ shape: [high, wide] }) => ({
      segment: async ({ points = [] }) => {
        const [[x, y] = [0, 0]] = points;
        const bounds: Bounds = [
          Math.max(0, Math.floor(x - 5)),
          Math.max(0, Math.floor(y - 5)),
          Math.min(wide, Math.ceil(x + 5)),
          Math.min(high, Math.ceil(y + 5)),
        ];
        const across = bounds[2] - bounds[0];
        const mask = Array.from({ length: across * (bounds[3] - bounds[1]) }, (_, at) => {
          const [px, py] = [bounds[0] + (at % across) + 0.5, bounds[1] + Math.floor(at / across) + 0.5];
          return Math.hypot(px - x, py - y) <= 5 ? 1 : 0;
        });
        return { proposal: 1, score: 0.9, bounds, mask: runLengthsOf(mask), outline: [] };
      },
      dispose: async () => undefined,
    }),
    dispose: async () => undefined,
  };
  return model;
};

export interface Client {
  address: string;
  origin: string;
  token: string;
  get: (path: string, headers?: Record<string, string>) => Promise<Response>;
  post: (path: string, body?: unknown, headers?: Record<string, string>) => Promise<Response>;
  json: <T = never>(path: string, body?: unknown) => Promise<T>;
}

/** A program that knows the token. */
export function clientOf(address: string): Client {
  const { origin, searchParams } = new URL(address);
  const token = searchParams.get("token") as string;
  const authorization = `Bearer ${token}`;
  const get: Client["get"] = (path, headers = {}) => fetch(`${origin}${path}`, { headers: { authorization, ...headers } });
  const post: Client["post"] = (path, body, headers = {}) =>
    fetch(`${origin}${path}`, {
      method: "POST",
      headers: { authorization, ...(body !== undefined && { "content-type": "application/json" }), ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  const json: Client["json"] = async (path, body) => {
    const answer = body === undefined ? await get(path) : await post(path, body);
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as never;
  };
  return { address, origin, token, get, post, json };
}

/** Asks until it is so, for what happens a moment later. */
export async function until<T>(ask: () => Promise<T | null | undefined | false>): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A folder of its own, with a studio of the images that `fill` puts into its images/. */
export async function studioOf(
  fill: (folder: string) => Promise<void>,
  { masks = false, openModel = standIn }: { masks?: boolean; openModel?: OpenStudioModel } = {},
) {
  const folder = await mkdtemp(join(tmpdir(), "cellsam-studio-"));
  const images = join(folder, "images");
  await mkdir(images);
  await fill(folder);
  const out = join(folder, "out");
  const options = {
    ...{ data: images, masks: masks ? join(folder, "masks") : null, out },
    ...{ settings: { weights: "cellsam-tiny", threads: 1 }, openModel },
  };
  let served: Served = await serveStudio(options, { host: "127.0.0.1", port: 0 }).catch(async (error: unknown) => {
    await rm(folder, { recursive: true });
    throw error;
  });
  return {
    folder,
    out,
    client: () => clientOf(served.address),
    restart: async () => {
      await served.close();
      served = await serveStudio(options, { host: "127.0.0.1", port: 0 });
      return clientOf(served.address);
    },
    close: async () => {
      await served.close();
      await rm(folder, { recursive: true });
    },
  };
}

/** Writes an image of discs, and where `masked` its mask. */
export async function writeDrawn(
  folder: string,
  name: string,
  discs: readonly (readonly [x: number, y: number, radius: number])[],
  masked = false,
): Promise<void> {
  const { pixels, labels } = drawnCells(discs);
  await writeRgbPng(join(folder, "images", `${name}.png`), pixels, height, width);
  if (masked) await writeLabels(join(folder, "masks", `${name}.tif`), labels);
}
