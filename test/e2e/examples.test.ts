// Every example, run as a reader would run it, with a few epochs: from the command line, in a worker, in a browser, and with an
// `electron` that only pretends.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { get, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import puppeteer from "puppeteer-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { generateSynthetic } from "../../lib/data/synthetic.js";
import { readJson } from "../../lib/files/json.js";
import { chromium } from "../chromium.js";

const examples = join(import.meta.dirname, "..", "..", "examples");
if (!chromium)
  console.warn("WARNING: no Chromium found, the web page among the examples is not opened. Install it, or set CHROMIUM.");

let folder: string;
let images: string;
let masks: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-examples-"));
  const data = await generateSynthetic({ directory: join(folder, "data"), images: 6, size: 128, seed: 3 });
  images = data.imgPath;
  masks = data.maskPath;
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Starts the web service; `stop` returns its exit code. */
function service(env: Record<string, string>): { address: Promise<string>; stop: () => Promise<unknown> } {
  const server: ChildProcess = spawn(process.execPath, [join(examples, "fastify-service", "server.mjs")], {
    cwd: folder,
    env: { ...process.env, PORT: "0", ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => server.once("exit", resolve));
  const lines = createInterface({ input: server.stdout as NodeJS.ReadableStream });
  const address = new Promise<string>((resolve) => lines.once("line", resolve));
  const stop = () => {
    server.kill("SIGTERM");
    return ended;
  };
  return { address, stop };
}

/** Runs a script in a folder of its own; returns its lines of JSON. */
function run(script: string, args: string[], options: { nodeArgs?: string[] } = {}): Promise<Record<string, unknown>[]> {
  return new Promise((resolve, reject) => {
    const command = [...(options.nodeArgs ?? []), join(examples, script), ...args];
    execFile(process.execPath, command, { cwd: folder, env: { ...process.env, EPOCHS: "2" } }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${script}: ${stderr}`));
      else
        resolve(
          stdout
            .trim()
            .split("\n")
            .map((line) => JSON.parse(line)),
        );
    });
  });
}

describe("examples", () => {
  it("quickstart fine-tunes the shipped weights on the images that lie beside it, and compares", async () => {
    const checkout = join(examples, "..");
    const config = ["train", "--config", "examples/quickstart.yaml", "--output-dir", join(folder, "output")];
    const few = ["--epochs1", "1", "--epochs2", "1", "--json"];
    await promisify(execFile)(process.execPath, [join(checkout, "dist/cli/main.js"), ...config, ...few], { cwd: checkout });
    const read = (file: string) => readJson<never>(join(folder, "output", "quickstart", file));
    expect(await read("experiment_config.json")).toMatchObject({ weights: "cellsam-tiny", size: "tiny", tile_size: 128 });
    const [{ preeval, evaluation, train_images, val_images }] = (await read("results/individual_results.json")) as [
      { preeval: { f1: number }; evaluation: { f1: number }; train_images: number; val_images: number },
    ];
    expect([train_images, val_images]).toEqual([16, 10]);
    // The weights find nuclei before anything is trained, and an epoch neither loses that nor leaves everything as it was.
    expect(preeval.f1).toBeGreaterThan(0.4);
    expect(evaluation.f1).toBeGreaterThan(0.4);
    expect(evaluation).not.toEqual(preeval);
  });

  it("custom-strategy holds out one microscope after the other", async () => {
    const [mixedImages, mixedMasks] = [join(folder, "mixed", "images"), join(folder, "mixed", "masks")];
    for (const [from, to] of [
      [images, mixedImages],
      [masks, mixedMasks],
    ] as const) {
      await mkdir(to, { recursive: true });
      for (const [i, name] of readdirSync(from).sort().entries())
        await copyFile(join(from, name), join(to, `${i % 2 ? "zeiss" : "nikon"}-${name}`));
    }
    const folds = await run("custom-strategy.mjs", [mixedImages, mixedMasks]);
    expect(folds.map(({ fold, error }) => [fold, error])).toEqual([
      [1, null],
      [2, null],
    ]);
  });

  it("loss-weight-schedule lets the boundary loss grow", async () => {
    const epochs = await run("loss-weight-schedule.mjs", [images, masks]);
    const [first, second] = epochs as { epoch: number; boundary: number }[];
    expect(epochs.map(({ epoch }) => epoch)).toEqual([1, 2]);
    // Weights 1/2 and 1 of a loss that changes little in an epoch of five steps.
    expect((second?.boundary as number) / (first?.boundary as number)).toBeGreaterThan(1.5);
    expect((second?.boundary as number) / (first?.boundary as number)).toBeLessThan(2.5);
  });

  it("worker-trainer tells every epoch from its thread", async () => {
    const messages = await run("worker-trainer/main.mjs", [images, masks]);
    expect(messages.map(({ stage, epoch, done }) => [stage, epoch, done])).toEqual([
      [1, 1, undefined],
      [1, 2, undefined],
      [2, 1, undefined],
      [2, 2, undefined],
      [undefined, undefined, true],
    ]);
  });

  it("electron's main process trains and tells its window", async () => {
    // The names that main.mjs takes from electron, and a window that asks for a training as soon as it can.
    const config = { imgPath: images, maskPath: masks, outputName: "desktop", size: "tiny", tileSize: 128 };
    const stage = { totalEpochs: 1, learningRate: 1e-3 };
    const asked = JSON.stringify({ ...config, strategy: "train_val_split", stage1Config: stage, stage2Config: stage });
    writeFileSync(
      join(folder, "electron.mjs"),
      `const sent = [];
       export const app = { whenReady: async () => {}, on() {}, quit() {} };
       export class BrowserWindow {
         async loadFile() {}
         isDestroyed() { return false; }
         webContents = { send: (channel, event) => sent.push([channel, event.stage]) };
       }
       export const ipcMain = { handle(name, listener) {
         if (name !== "train") return;
         setImmediate(async () => {
           const folds = await listener(null, ${asked});
           console.log(JSON.stringify({ sent, folds: folds.length }));
         });
       } };`,
    );
    writeFileSync(
      join(folder, "hooks.mjs"),
      `import { register } from "node:module";
       register("./resolve.mjs", import.meta.url);`,
    );
    writeFileSync(
      join(folder, "resolve.mjs"),
      `export const resolve = (name, context, next) =>
         name === "electron" ? { url: new URL("./electron.mjs", import.meta.url).href, shortCircuit: true } : next(name, context);`,
    );
    const [told] = await run("electron/main.mjs", [], { nodeArgs: ["--import", join(folder, "hooks.mjs")] });
    expect(told).toEqual({
      sent: [
        ["epoch", 1],
        ["epoch", 2],
      ],
      folds: 1,
    });
  });

  it("fastify-service refuses what is no training, and trains one at a time", async () => {
    const trainings = join(folder, "refused");
    const server = service({ EPOCHS: "1", TRAININGS: trainings });
    try {
      const address = await server.address;
      const form = (...fields: [field: string, path: string, name?: string][]) => {
        const body = new FormData();
        for (const [field, path, name] of fields) body.append(field, new Blob([readFileSync(path)]), name ?? basename(path));
        return body;
      };
      const post = async (body: FormData | string, headers: Record<string, string> = {}) => {
        const response = await fetch(`${address}/trainings`, { method: "POST", body, headers });
        return { status: response.status, ...((await response.json()) as { id?: string; message?: string }) };
      };
      const [image = "", mask = ""] = [images, masks].map((path) => join(path, readdirSync(path)[0] as string));
      expect(await post("{}", { "content-type": "application/json" })).toMatchObject({ status: 400 });
      expect(await post(form(["pictures", image]))).toMatchObject({
        status: 400,
        message: expect.stringContaining("pictures"),
      });
      expect(await post(form(["images", image, ".."]))).toMatchObject({ status: 400 });
      expect(await post(form(["images", image], ["images", image]))).toMatchObject({ status: 400 });
      const alone = await post(form(["images", image, "../../../outside.png"], ["masks", mask]));
      expect(alone).toMatchObject({ status: 400, message: expect.stringContaining("outside.png") });
      expect(alone.message).not.toContain(folder);
      expect(await post(form(["images", image]), { origin: "http://elsewhere.example" })).toMatchObject({ status: 403 });
      const foreign = await new Promise((resolve) => get(address, { headers: { host: "elsewhere.example" } }, resolve));
      expect((foreign as IncomingMessage).statusCode).toBe(403);
      expect((await fetch(`${address}/trainings/..%2f..%2fetc/report`)).status).toBe(404);
      expect(readdirSync(trainings)).toEqual([]);

      const all = (field: string, path: string) => readdirSync(path).map((name): [string, string] => [field, join(path, name)]);
      const sound = () => form(...all("images", images), ...all("masks", masks));
      const order: string[] = [];
      const follow = async (name: string, id: string) => {
        const told = await (await fetch(`${address}/trainings/${id}/events`)).text();
        order.push(...told.split("\n\n").flatMap((line) => (line ? [`${name} ${JSON.parse(line.slice(6)).type}`] : [])));
      };
      const [first, second] = [await post(sound()), await post(sound())];
      await Promise.all([follow("first", first.id ?? ""), follow("second", second.id ?? "")]);
      expect(order[0]).toBe("first waiting");
      expect(order.indexOf("first done")).toBeLessThan(order.indexOf("second waiting"));
      expect(order.at(-1)).toBe("second done");
    } finally {
      await server.stop();
    }
  });

  it.skipIf(!chromium)("fastify-service trains what is uploaded and shows its progress on the page", async () => {
    const server = service({ EPOCHS: "2", TRAININGS: join(folder, "trainings") });
    const browser = await puppeteer.launch({ executablePath: chromium as string, args: ["--no-sandbox", "--disable-gpu"] });
    try {
      const address = await server.address;
      const page = await browser.newPage();
      page.setDefaultTimeout(900_000);
      const faults: string[] = [];
      page.on("console", (message) => faults.push(message.text()));
      page.on("pageerror", (error) => faults.push(String(error)));
      await page.goto(address);
      for (const [name, path] of [
        ["images", images],
        ["masks", masks],
      ] as const) {
        const input = await page.$(`input[name=${name}]`);
        await (input as unknown as { uploadFile: (...files: string[]) => Promise<void> }).uploadFile(
          ...readdirSync(path).map((file) => join(path, file)),
        );
      }
      await page.click("button[type=submit]");
      await page.waitForFunction(`document.querySelector("#state")?.textContent === "Done."`);
      const points = await page.$eval("#curve", (curve) => curve.getAttribute("points"));
      expect(points?.split(" ")).toHaveLength(4); // two epochs of two stages
      if (process.env.CELLSAM_SCREENSHOTS)
        await page.screenshot({ path: join(process.env.CELLSAM_SCREENSHOTS, "service.png") });
      await Promise.all([page.waitForNavigation(), page.click("#report")]);
      expect(await page.title()).toContain("run");
      expect(faults).toEqual([]);
    } finally {
      await browser.close();
      expect(await server.stop()).toBe(0);
    }
  });
});
