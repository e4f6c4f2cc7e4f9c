/** The JavaScript examples of the README and of docs/embedding.md, run as a reader would: from a file beside an image. */
import { execFileSync } from "node:child_process";
import { readFileSync, symlinkSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeImage, decodeLabels } from "../../lib/data/decode.js";

const checkout = join(import.meta.dirname, "..", "..");
const nucleus = join(checkout, "examples", "nuclei", "images", "dsb_0b2e702f90ae.png");
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-readme-"));
  await mkdir(join(folder, "node_modules"));
  await mkdir(join(folder, "images"));
  symlinkSync(checkout, join(folder, "node_modules", "cellsam-train"));
  for (const name of ["cells.png", "a.png", "b.png", "images/f0.png"]) await copyFile(nucleus, join(folder, name));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The blocks of JavaScript in a document. */
function blocks(file: string): string[] {
  return [...readFileSync(join(checkout, file), "utf8").matchAll(/```[jt]s\n(.*?)```/gs)].map(([, code = ""]) => code);
}

/** Runs an example on one thread: tests share the cores. */
async function run(code: string): Promise<string> {
  const shared = code.replaceAll('weights: "cellsam-tiny"', 'weights: "cellsam-tiny", threads: 1');
  await writeFile(join(folder, "example.mjs"), shared);
  return execFileSync(process.execPath, ["example.mjs"], { cwd: folder, encoding: "utf8" });
}

describe("the README", () => {
  const [first = "", ...others] = blocks("README.md");

  it("begins with a prediction in about ten lines", async () => {
    expect(first.trim().split("\n").length).toBeLessThanOrEqual(12);
    expect(await run(first)).toMatch(/^\d+ cells; scores 0\.\d+/);
    const size = (await decodeImage(nucleus)).shape.slice(0, 2) as [number, number];
    const { count } = await decodeLabels(join(folder, "cells.geojson"), { annotation: "geojson", size });
    expect(count).toBeGreaterThan(0);
    expect((await decodeImage(join(folder, "cells-outlined.png"))).shape).toEqual([512, 512, 3]);
  });

  it("has no example that needs what the reader lacks", async () => {
    expect(others.length).toBeGreaterThan(0);
    for (const code of others) expect(await run(code)).toMatch(/total_loss/);
  });
});

it("docs/embedding.md has examples that run, one after the other", async () => {
  const [one = "", boxes = "", clicks = "", many = "", whole = ""] = blocks("docs/embedding.md");
  const told = await run(`${one.replace("await predictor.dispose();\n", "")}${boxes}
    console.log([...prompt].sort().join(), scores.shape[0], labels.shape.join());\n${clicks}\n${many}await predictor.dispose();\n${whole}`);
  const lines = told.trim().split("\n");
  expect(lines).toContain("0,1 2 256,256");
  expect(told).toMatch(/^0\.\d+ \[ \d+, \d+, \d+, \d+ \] \[ \[ Int32Array/m);
  expect(lines).toContain("c 0");
  expect(lines.at(-1)).toMatch(/^f0 \d+$/);
});
