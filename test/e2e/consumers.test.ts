/**
 * The packed package in other people's projects: the compiler finds its types from ES modules and CommonJS, Node loads it from both,
 * bundlers leave it out, and what the README links to is there.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync, symlinkSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { rolldown } from "rolldown";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const checkout = join(import.meta.dirname, "..", "..");
let folder: string;
let installed: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-consumers-"));
  installed = join(folder, "node_modules", "cellsam-train");
  await mkdir(dirname(installed), { recursive: true });
  const pack = ["pack", "--json", "--ignore-scripts", "--pack-destination", folder];
  const [{ filename }] = JSON.parse(execFileSync("npm", pack, { cwd: checkout, encoding: "utf8" })) as [{ filename: string }];
  execFileSync("tar", ["xzf", join(folder, filename), "-C", folder]);
  await rename(join(folder, "package"), installed);
  // Its dependencies, as an installation would put them there; no types of Node.
  const { dependencies } = JSON.parse(await readFile(join(installed, "package.json"), "utf8"));
  for (const name of Object.keys(dependencies)) {
    const path = join(folder, "node_modules", name);
    await mkdir(dirname(path), { recursive: true });
    symlinkSync(join(checkout, "node_modules", name), path);
  }
  await writeFile(join(folder, "package.json"), '{ "private": true }');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const program = `
async function main(): Promise<void> {
  const options: PredictOptions = { image: await readImage("a.png") };
  const predictor = await openPredictor({ weights: "cellsam-tiny" });
  const { prompt }: BoxPrediction = await predictor.predict(options.image, { boxes: Float32Array.of(0, 0, 9, 9) });
  const found: Prediction = await predictor.predict(options.image);
  for (const { id, polygons } of toPolygons(found.labels)) console.log(id, polygons[0]?.[0]?.length, prompt[0]);
  await writeGeojson("a.geojson", found);
  const training = train({ imgPath: "i", maskPath: "m", outputName: "n" }, { lossWeights: schedule });
  for await (const event of training) if (event.type === "progress") task = event.task;
  try { await training.results; } catch (error) { if (error instanceof CellsamError) console.log(error.code satisfies ErrorCode); }
}
const schedule: LossWeightSchedule = ({ epoch }) => ({ focalLossWeight: epoch });
let task: "check" | "duplicates" | "tiles" | "store" | "evaluate" | "predict";
void main();
`;
const names =
  "BoxPrediction, CellsamError, type ErrorCode, type LossWeightSchedule, openPredictor, type Prediction, type PredictOptions, readImage, toPolygons, train, writeGeojson";

describe("types", () => {
  it.each([
    ["node16", "node16"],
    ["nodenext", "nodenext"],
    ["esnext", "bundler"],
  ])("resolve without skipLibCheck for module %s", async (module, moduleResolution) => {
    const compilerOptions = {
      target: "ES2022",
      module,
      moduleResolution,
      strict: true,
      skipLibCheck: false,
      noEmit: true,
      types: [],
    };
    // For a bundler a .cts file is no CommonJS program: it may not mix the two.
    const files = moduleResolution === "bundler" ? ["a.mts"] : ["a.mts", "b.cts"];
    await writeFile(join(folder, "a.mts"), `import { type ${names} } from "cellsam-train";${program}`);
    const required = 'import whole = require("cellsam-train");\nconsole.log(whole.openPredictor);\n';
    await writeFile(join(folder, "b.cts"), `import { type ${names} } from "cellsam-train";\n${required}${program}`);
    await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files }));
    const tsc = join(checkout, "node_modules", "typescript", "bin", "tsc");
    let said = "";
    try {
      execFileSync(process.execPath, [tsc, "-p", folder], { encoding: "utf8" });
    } catch (error) {
      said = (error as { stdout: string }).stdout;
    }
    expect(said).toBe("");
  });
});

/** What a script prints; it must print nothing else, such as a warning. */
function node(...args: string[]): string {
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8" });
  expect(stderr).toBe("");
  return stdout;
}

describe("Node", () => {
  const list =
    "console.log(Object.keys(api).filter((name) => name !== 'module.exports' && name !== '__esModule').sort().join())";

  it("gives the same names to import and to require, without a warning", async () => {
    await writeFile(join(folder, "list.mjs"), `import * as api from "cellsam-train";\n${list};`);
    await writeFile(join(folder, "list.cjs"), `const api = require("cellsam-train");\n${list};`);
    const imported = node("list.mjs");
    expect(imported).toContain("openPredictor");
    expect(node("list.cjs")).toBe(imported);
  });
});

describe("a bundler", () => {
  it("leaves the package out when it is external, and the bundle runs", async () => {
    const source = `import { readImage, toPolygons } from "cellsam-train";
      const image = await readImage(process.argv[2]);
      console.log(image.shape.join("x"), toPolygons({ data: Int32Array.of(1), shape: [1, 1] }).length);`;
    await writeFile(join(folder, "app.mjs"), source);
    const bundle = await rolldown({ input: join(folder, "app.mjs"), platform: "node", external: ["cellsam-train"] });
    const { output } = await bundle.write({ file: join(folder, "bundle.mjs"), format: "esm" });
    expect(output).toHaveLength(1);
    expect(output[0].code).toMatch(/from "cellsam-train"/);
    const image = join(checkout, "examples", "nuclei", "images", "dsb_0b2e702f90ae.png");
    expect(node("bundle.mjs", image)).toMatch(/^256x256 1\n$/);
  });
});

describe("the README in the package", () => {
  it("links to nothing that the package lacks", () => {
    const links = [...readFileSync(join(installed, "README.md"), "utf8").matchAll(/\]\(([^)#\s]+)/g)].map(
      ([, link = ""]) => link,
    );
    const local = links.filter((link) => !/^https?:/.test(link));
    expect(local.length).toBeGreaterThan(10);
    expect(local.filter((link) => !existsSync(join(installed, link)))).toEqual([]);
  });
});
