/** Several images at a time, one thread each: the results of one at a time, and each image's failure its own. */
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { weightsFile } from "../../lib/config/shippedWeights.js";
import { decodeImage, decodeLabels } from "../../lib/data/decode.js";
import { liveObjects } from "../../lib/engine/native.js";
import { type ImageArray, openSession } from "../../lib/engine/session.js";
import { CellsamError } from "../../lib/errors.js";
import { evaluateWeights } from "../../lib/evaluation/folders.js";
import { inOrder } from "../../lib/inOrder.js";
import { predictMany } from "../../lib/predict/many.js";
import { openPredictor } from "../../lib/predict/predictor.js";
import { isPretend, longTest, testDevice } from "../device.js";
import { copyNuclei, cropNuclei, nucleiNames } from "../nuclei.js";

// A pretend GPU takes its time, and whole images are nine tiles each.
const names = nucleiNames.slice(0, isPretend ? 2 : 3);
const folder = await mkdtemp(join(tmpdir(), "cellsam-at-once-"));
const { imgPath, maskPath } = await (isPretend ? cropNuclei(folder, names) : copyNuclei(folder, names));
const files = names.map((name) => join(imgPath, name));
afterAll(() => rm(folder, { recursive: true }));
const settings = { weights: "cellsam-tiny", device: testDevice } as const;
const cores = availableParallelism();

async function imageOf(file: string): Promise<ImageArray> {
  const { data, shape } = await decodeImage(file);
  return { data, shape } as ImageArray;
}

describe("a session of a small network", () => {
  it.skipIf(isPretend)("works on one image for each of its threads, with the results of one thread", async () => {
    const open = async (threads: number) => {
      const session = await openSession({ size: "tiny", threads });
      await session.load(weightsFile("cellsam-tiny"));
      return session;
    };
    await using one = await open(1);
    await using all = await open(0);
    expect([one.concurrency, all.concurrency]).toEqual([1, cores]);
    const options = { tileSize: 128, nmsIou: 0.5, greyChannel: "all" } as const;
    const ask = async (session: typeof one) =>
      Promise.all(
        names.map(async (name, i) => {
          const image = await imageOf(files[i] as string);
          const labels = await decodeLabels(join(maskPath, name));
          const boxes = { data: Float32Array.of(10, 10, 60, 60, 100, 90, 140, 130), shape: [2, 4] };
          return Promise.all([
            session.predict({ image, ...options }),
            session.predict({ image, boxes, ...options }),
            session.candidates({ image, ...options }),
            session.promptIou({ image, labels, ...options }),
          ]);
        }),
      );
    expect(await ask(all)).toEqual(await ask(one));
  });

  longTest("refuses one image and goes on with the others; a stop ends all", async () => {
    await using predictor = await openPredictor(settings);
    const image = await imageOf(files[0] as string);
    const alone = await predictor.predict(image);
    const broken = { data: new Uint8Array(10), shape: [5, 2, 1, 1] } as ImageArray;
    const settled = await Promise.allSettled([image, broken, image, image].map((one) => predictor.predict(one)));
    expect(settled.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled", "fulfilled"]);
    expect((settled[3] as PromiseFulfilledResult<unknown>).value).toEqual(alone);

    const control = new AbortController();
    const stopped = Array.from({ length: 9 }, () => predictor.predict(image, { signal: control.signal }));
    await stopped[0];
    const reason = new Error("enough");
    control.abort(reason);
    const ends = await Promise.allSettled(stopped);
    for (const end of ends) if (end.status === "rejected") expect(end.reason).toBe(reason);
    expect(ends.at(-1)?.status).toBe("rejected");
    expect(await predictor.predict(image)).toEqual(alone);
  });

  it("is disposed of while it works on several", async () => {
    const predictor = await openPredictor(settings);
    const image = await imageOf(files[0] as string);
    const asked = Array.from({ length: 10 }, () => predictor.predict(image).catch((error: CellsamError) => error.code));
    await asked[0];
    await predictor.dispose();
    expect((await Promise.all(asked)).at(-1)).toBe("ERR_DISPOSED");
    expect(liveObjects()).toMatchObject({ sessions: 0, jobs: 0 });
  });
});

longTest("predictMany gives the same in the same order for any number in flight", async () => {
  const results = [];
  for (const [threads, concurrency] of [
    [1, 1],
    [2, 3],
    [0, undefined],
  ] as const) {
    const found = [];
    const more = concurrency === undefined ? {} : { concurrency };
    for await (const { name, prediction } of predictMany({ ...settings, threads }, files, more))
      found.push({ name, prediction });
    expect(found.map(({ name }) => name)).toEqual(files);
    results.push(found);
  }
  expect(results[1]).toEqual(results[0]);
  expect(results[2]).toEqual(results[0]);
});

longTest("an evaluation has the same scores with any number of threads", async () => {
  const evaluate = (threads: number) =>
    evaluateWeights(imgPath, maskPath, { ...settings, threads }, { optimizeThreshold: true });
  expect(await evaluate(0)).toEqual(await evaluate(1));
});

describe("inOrder", () => {
  const left = () => new CellsamError("ERR_CANCELLED", "left");

  it("has so many in work as it may, and takes items as they are needed", async () => {
    let [taken, inWork, most] = [0, 0, 0];
    const items = function* () {
      for (; taken < 9; taken++) yield taken;
    };
    const work = async (item: number) => {
      most = Math.max(most, ++inWork);
      for (let turn = 0; turn < 9 - item; turn++) await new Promise(setImmediate); // later ones are done earlier
      inWork--;
      return item * item;
    };
    const results: number[] = [];
    for await (const result of inOrder(items(), { atOnce: 3, work, left })) {
      results.push(result);
      expect(taken).toBeLessThanOrEqual(results.length + 2);
    }
    expect(results).toEqual([0, 1, 4, 9, 16, 25, 36, 49, 64]);
    expect(most).toBe(3);
  });

  it("ends the work that nobody waits for, after a failure and when the loop is left", async () => {
    for (const fails of [true, false]) {
      const ended: string[] = [];
      const work = async (item: number, _: number, signal: AbortSignal) => {
        if (item === 0) return item;
        if (item === 1 && fails) throw new Error("told to fail");
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        ended.push((signal.reason as Error).message);
        return item;
      };
      const loop = async () => {
        for await (const result of inOrder([0, 1, 2, 3], { atOnce: 3, work, left })) if (!fails) return result;
        return "all";
      };
      if (fails) await expect(loop()).rejects.toThrow("told to fail");
      else expect(await loop()).toBe(0);
      expect(ended).toEqual(["left", "left"]);
    }
  });
});
