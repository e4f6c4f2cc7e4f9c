import { execFileSync } from "node:child_process";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { writeRgbPng } from "../../lib/data/write.js";

// The worker threads exist only in compiled form: the data folder is compiled here, beside the packages that it imports, and run by node.
const ROOT = fileURLToPath(new URL("../../", import.meta.url));
let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(ROOT, "node_modules/.cellsam-thread-"));
  const options = {
    extends: join(ROOT, "tsconfig.build.json"),
    compilerOptions: {
      rootDir: join(ROOT, "lib"),
      outDir: join(folder, "out"),
      declaration: false,
      typeRoots: [join(ROOT, "node_modules/@types")],
    },
  };
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ ...options, include: [join(ROOT, "lib/data")] }));
  execFileSync(process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), "-p", join(folder, "tsconfig.json")], {
    stdio: "inherit",
  });
  await writeFile(join(folder, "out/package.json"), '{"type":"module"}');
  const noise = Uint8Array.from({ length: 3000 * 3000 * 3 }, (_, i) => (i * 2654435761) >>> 24);
  await writeRgbPng(join(folder, "large.png"), noise, 3000, 3000);
});
afterAll(() => rm(folder, { recursive: true }));

function node(script: string, out = "out"): unknown {
  const file = (name: string) => JSON.stringify(pathToFileURL(join(folder, out, name)).href);
  const code = `import { decodeImage } from ${file("data/decode.js")};\nimport { checkDataset } from ${file("data/check.js")};\nconst large = ${JSON.stringify(join(folder, "large.png"))};\n${script}`;
  const ended = execFileSync(process.execPath, ["--input-type=module", "-e", code], { encoding: "utf8", timeout: 900_000 });
  return JSON.parse(ended);
}

it("large images decode in the worker, and the process ends by itself", () => {
  const result = node(`
const images = await Promise.all([decodeImage(large), decodeImage(large)]);
console.log(JSON.stringify({ shape: images[0].shape, seventh: images[1].data[7] }));`);
  expect(result).toEqual({ shape: [3000, 3000, 3], seventh: (7 * 2654435761) >>> 24 });
});

it("returns or rejects each file of a long queue in its own place", () => {
  const result = node(`
const files = Array.from({ length: 40 }, (_, i) => (i % 4 ? ${JSON.stringify(join(ROOT, "test/fixtures/data/png1.png"))} : "/nowhere/" + i + ".png"));
const settled = await Promise.allSettled(files.map((file) => decodeImage(file)));
console.log(JSON.stringify(settled.map((one) => (one.status === "fulfilled" ? one.value.shape.join() : one.reason.code + " " + one.reason.detail.path))));`);
  expect(result).toEqual(Array.from({ length: 40 }, (_, i) => (i % 4 ? "13,17" : `ERR_FILE /nowhere/${i}.png`)));
});

it("tells a thread that cannot start from a file that ends one, with the cause", async () => {
  const fails = async (out: string, worker: string) => {
    await cp(join(folder, "out"), join(folder, out), { recursive: true });
    await writeFile(join(folder, out, "data/decodeWorker.js"), worker);
    const script = `
const failure = (error) => ({ code: error.code, message: error.message });
const pairs = ["a", "b", "c"].map((source) => ({ source, image: source + ".png" }));
const decoded = await decodeImage("a.png").catch(failure);
const checked = await checkDataset(pairs).catch(failure);
console.log(JSON.stringify({ decoded, checked }));`;
    return node(script, out);
  };
  // A data set is not searched for broken files when no file at all can be decoded.
  const unable = { code: "ERR_INTERNAL", message: expect.stringContaining("could not start (no decoder here)") };
  expect(await fails("unable", 'throw new Error("no decoder here");')).toEqual({ decoded: unable, checked: unable });
  const dies =
    'import { parentPort } from "node:worker_threads";\nparentPort.on("message", () => { throw new Error("bad bytes"); });\nparentPort.postMessage({ ready: true });';
  expect(await fails("dies", dies)).toEqual({
    decoded: { code: "ERR_IMAGE_BROKEN", message: "a.png: decoding it ended the decode thread (bad bytes)" },
    checked: { code: "ERR_DATASET", message: expect.stringContaining("3 problems in the data set") },
  });
});
