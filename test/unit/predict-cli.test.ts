/** `cellsam predict` as a process: formats, messages in its own words, and an interruption. */
import { execFile, spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readJson } from "../../lib/files/json.js";
import type { PredictedImage } from "../../lib/predict/scores.js";

const checkout = join(import.meta.dirname, "../..");
const images = join(checkout, "examples/nuclei/images");
const model = ["--weights", "cellsam-tiny", "--device", "cpu"];
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-predict-cli-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const command = (out: string, ...more: string[]) => [
  join(checkout, "dist/cli/main.js"),
  "predict",
  images,
  ...model,
  "--out",
  out,
  ...more,
];

function predict(out: string, ...more: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, command(out, ...more), (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}

it("stops at Ctrl-C with what is done, and goes on with --skip-existing", async () => {
  const out = join(folder, "stopped");
  for (let code: unknown; code !== 75; ) {
    await rm(out, { recursive: true, force: true });
    const child = spawn(process.execPath, command(out, "--format", "tiff,geojson", "--format", "csv"), { stdio: "ignore" });
    const ended = new Promise((resolve) => child.once("exit", resolve));
    while (child.exitCode === null && !(existsSync(out) && readdirSync(out).some((name) => name.endsWith(".tif"))))
      await setTimeout(20);
    child.kill("SIGINT");
    code = await ended;
    if (code !== 75) expect(code).toBe(0); // it had done all before this process saw the first file: once more
  }
  const done = await readJson<PredictedImage[]>(join(out, "scores.json"));
  const all = readdirSync(images).length;
  expect(done.length).toBeGreaterThan(0);
  expect(done.length).toBeLessThan(all);
  expect(existsSync(join(out, "cells.csv"))).toBe(false);

  const refused = await predict(out, "--format", "tiff");
  expect(refused.code).toBe(2);
  expect(refused.stderr).toMatch(/^ERR_OUTPUT_EXISTS: .*use --overwrite to replace, --skip-existing to keep/);

  const resumed = await predict(out, "--format", "tiff,geojson,csv", "--skip-existing", "--json");
  expect(resumed.code).toBe(0);
  const rows = (JSON.parse(resumed.stdout) as { images: PredictedImage[] }).images;
  expect(rows).toHaveLength(all);
  expect(rows.slice(0, done.length)).toEqual(done);
  expect(await readJson(join(out, "scores.json"))).toEqual(rows);
  expect(readdirSync(out)).toHaveLength(2 * all + 2);
});

it("names the formats where one is unknown, and starts nothing", async () => {
  const out = join(folder, "unknown");
  const { code, stderr } = await predict(out, "--format", "tiff,geojsn");
  expect(code).toBe(2);
  expect(stderr).toMatch(/known are tiff, png, npy, geojson, roi, coco, csv; did you mean geojson\?/);
  expect(existsSync(out)).toBe(false);
});
