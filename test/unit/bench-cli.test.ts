// `cellsam bench` from the command line, on the CPU with the smallest network.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { homedir, hostname, tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Ajv } from "ajv";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BenchResult, benchJson, benchTable } from "../../lib/bench/result.js";
import { drawTile } from "../../lib/bench/tile.js";
import { packageVersion } from "../../lib/version.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const main = join(root, "dist", "cli", "main.js");
const schema = JSON.parse(readFileSync(join(root, "schema", "bench.schema.json"), "utf8"));
const validate = new Ajv({
  allErrors: true,
  formats: { "date-time": (text: string) => text === new Date(text).toISOString() },
});

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "cellsam-bench-test-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The temporary files of a bench go where TMPDIR says. */
function bench(...args: string[]) {
  const temporary = mkdtempSync(join(folder, "tmp-"));
  const env = { ...process.env, TMPDIR: temporary, TMP: temporary, TEMP: temporary };
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, "bench", ...args], { encoding: "utf8", env });
  return { status, stdout, stderr, left: readdirSync(temporary) };
}

describe("cellsam bench", () => {
  it("prints a table and writes JSON that fits its schema and names nobody", () => {
    const out = join(folder, "bench.json");
    const flags = ["--size", "tiny", "--device", "cpu", "--precision", "fp32", "--threads", "1", "--batch-size", "2"];
    const { status, stdout, stderr, left } = bench(...flags, "--seconds", "0.05", "--out", out);
    expect(status, stderr).toBe(0);
    expect(left).toEqual([]);
    const text = readFileSync(out, "utf8");
    const result = JSON.parse(text);
    const valid = validate.compile(schema);
    expect(valid(result), JSON.stringify(valid.errors)).toBe(true);
    expect(result).toMatchObject({
      version: packageVersion,
      system: { busy: process.platform === "win32" ? null : expect.any(Number) },
      device: { kind: "cpu", compute_capability: null },
      settings: {
        size: "tiny",
        weights: "cellsam-tiny",
        precision: "fp32",
        threads: 1,
        batch_size: 2,
        cells: 64,
        tile_size: 128,
      },
    });
    expect(stderr.includes("speeds will be too low")).toBe((result.system.busy ?? 0) > 0.5);
    const rows = result.rows as {
      name: string;
      images: number;
      images_per_second: number;
      gflop: number;
      share_of_peak: number;
    }[];
    expect(rows.map(({ name, images }) => [name, images])).toEqual([
      ["encoder", 2],
      ["stage1_step", 2],
      ["stage2_step", 2],
      ["stage2_step_kept", 2],
      ["predict", 1],
      ["click", 1],
    ]);
    for (const row of rows)
      expect(row.share_of_peak).toBeCloseTo((row.gflop * row.images_per_second) / (1000 * result.peak.tflops), 10);
    const strings =
      JSON.stringify(result)
        .match(/"(?:[^"\\]|\\.)*"/g)
        ?.map((quoted) => JSON.parse(quoted) as string) ?? [];
    for (const name of [hostname(), userInfo().username]) expect(strings).not.toContain(name);
    for (const path of [homedir(), folder, root]) expect(strings.filter((one) => one.includes(path))).toEqual([]);
    expect(stdout).toMatch(/^tiny in fp32, batches of 2, 64 cells in an image$/m);
    expect(stdout.match(/^.* \d+\.\d %$/gm)).toHaveLength(6);
    for (const line of stdout.split("\n").slice(1)) expect(line.length, line).toBeLessThanOrEqual(80);
  }, 900_000);

  it("refuses sizes, weights and devices that are not there, with the codes of the package", () => {
    expect(bench("--size", "tiny", "--device", "cpu", "--weights", join(folder, "none.pth"))).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/^ERR_FILE: weights: there is no file /m),
      left: [],
    });
    expect(bench("--size", "vit_x", "--device", "cpu")).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/ERR_INVALID_ARGUMENT: there is no size vit_x: known are vit_b, vit_l, vit_h, tiny/),
    });
    expect(bench("--size", "tiny", "--device", "tpu", "--seconds", "0.01")).toMatchObject({ status: 2, left: [] });
  });
});

describe("the table", () => {
  it("has three digits of every speed, and a GPU's driver", () => {
    const row = { images: 1, calls: 3, gflop: 967.1, shareOfPeak: 0.4567 };
    const result = {
      device: { kind: "cuda", name: "NVIDIA H200", computeCapability: "9.0", memoryGb: 151 },
      driver: { version: "580.1", cuda: "13.0" },
      torch: { version: "2.13.0", variant: "cu130", kernels: [] },
      settings: { size: "vit_b", weights: "random", precision: "bf16", threads: 16, batchSize: 1, cells: 64, tileSize: 512 },
      peak: { tflops: 701.23, side: 8192 },
      rows: [
        { ...row, name: "encoder", imagesPerSecond: 331.23 },
        { ...row, name: "predict", imagesPerSecond: 0.012345 },
      ],
    } as unknown as BenchResult;
    const lines = benchTable(result).split("\n");
    expect(lines[0]).toBe("NVIDIA H200, driver 580.1 (CUDA 13.0), torch 2.13.0 (cu130)");
    expect(lines[2]).toBe("peak of a matrix product: 701 TFLOP/s");
    expect(lines.at(-5)?.split(/ {2,}/)).toEqual(["image encoder, forward", "331", "0.00302", "967", "45.7 %"]);
    expect(lines.at(-4)?.split(/ {2,}/)).toEqual(["image to cells", "0.0123", "81.0", "967", "45.7 %"]);
    expect(JSON.parse(benchJson(result)).rows[0].images_per_second).toBe(331.23);
  });
});

describe("the drawn tile", () => {
  it.each([1, 9, 64])("holds %i cells, brighter than what surrounds them", (cells) => {
    const { image, labels } = drawTile(128, cells);
    expect(new Set(labels.data)).toEqual(new Set(Array.from({ length: cells + 1 }, (_, id) => id)));
    const bright = (inside: boolean) => image.data.filter((_, i) => (labels.data[i] as number) > 0 === inside);
    expect(Math.min(...bright(true))).toBeGreaterThan(Math.max(...bright(false)));
  });
});
