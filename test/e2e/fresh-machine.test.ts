/**
 * What a user without a compiler does, with the packed package: install it with all install scripts off, fetch libtorch, train.
 * Nothing of this checkout is on the path; the archive comes over loopback HTTP.
 */
import { execFile, execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { resolveLibtorch } from "../../lib/runtime/resolve.js";
import { archiveOf, bareNode, LocalServer } from "./freshMachine.js";

const checkout = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
let folder: string;
let project: string;
let packed: string;
let archive: string;
let server: LocalServer;
let environment: NodeJS.ProcessEnv;

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a program in the project with the bare environment; never throws. */
function go(program: string, args: string[], more: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(program, args, { cwd: project, env: { ...environment, ...more }, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === "number" ? error.code : error ? -1 : 0, stdout, stderr });
    });
  });
}
const node = () => join(environment.PATH as string, "node");
const cellsam = (args: string[], more: NodeJS.ProcessEnv = {}) =>
  go(node(), [join(project, "node_modules", "cellsam-train", "dist", "cli", "main.js"), ...args], more);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-fresh-"));
  project = join(folder, "project");
  await mkdir(project);
  const bin = await bareNode(join(folder, "bin"));
  environment = {
    PATH: bin,
    HOME: join(folder, "home"),
    CELLSAM_CACHE: join(folder, "cache"),
    npm_config_cache: join(folder, "npm"),
  };

  execFileSync(process.execPath, [join(checkout, "scripts", "prebuild.mjs"), "--built"], { cwd: checkout, stdio: "ignore" });
  const made = execFileSync("npm", ["pack", "--json", "--pack-destination", folder], { cwd: checkout, encoding: "utf8" });
  const [{ filename }] = JSON.parse(made) as [{ filename: string }];
  packed = join(folder, filename);
  writeFileSync(join(project, "package.json"), '{ "name": "user", "private": true }');
  // The registry is the machine's own; everything else of the environment is bare.
  const registry = execFileSync("npm", ["config", "get", "registry"], { encoding: "utf8" }).trim();
  const certificate = process.env.NODE_EXTRA_CA_CERTS ? { NODE_EXTRA_CA_CERTS: process.env.NODE_EXTRA_CA_CERTS } : {};
  const install = ["install", "--ignore-scripts", "--no-audit", "--no-fund", packed];
  Object.assign(environment, { npm_config_registry: registry, ...certificate });
  const installed = await go(join(bin, "npm"), install);
  expect(installed.stderr).not.toContain("npm error");
  expect(installed.code).toBe(0);

  archive = join(folder, "libtorch.zip");
  await archiveOf(resolveLibtorch().path, archive);
  server = await LocalServer.serve({ "libtorch.zip": archive, "text.zip": join(project, "package.json") });
});

afterAll(async () => {
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

const hashOf = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");

describe("a fresh machine", () => {
  it("has no compiler, no CMake and no Python, and doctor says what is missing", async () => {
    for (const tool of ["cc", "c++", "g++", "cmake", "python3", "pip"]) {
      expect((await go("sh", ["-c", `command -v ${tool}`])).code).not.toBe(0);
    }
    const { code, stdout } = await cellsam(["doctor", "--json"]);
    expect(code).toBe(3);
    const { checks } = JSON.parse(stdout) as { checks: { name: string; ok: boolean; mend?: string }[] };
    expect(checks.find(({ name }) => name === "libtorch")).toMatchObject({ ok: false, mend: "npx cellsam setup" });
  });

  it("is made of a package and libtorch by what the containers run", async () => {
    const script = join(checkout, "containers", "install.sh");
    const files = ["Dockerfile", "cellsam.def"].map((name) => readFileSync(join(checkout, "containers", name), "utf8"));
    for (const text of files) expect(text).toContain("sh /tmp/install.sh");
    const place = join(folder, "container");
    const more = {
      PATH: `${environment.PATH}:${join(place, "bin")}:/usr/bin:/bin`,
      npm_config_prefix: place,
      CELLSAM_CACHE: join(place, "cache"),
      CELLSAM_FROM: archive,
    };
    const done = await go("/bin/sh", [script, packed, "cpu"], more);
    expect(done).toMatchObject({ code: 0, stdout: expect.stringMatching(/^ok {3}step /m) });
    const { stdout } = await go(join(place, "bin", "cellsam"), ["--version"], more);
    expect(stdout.trim()).toBe(JSON.parse(readFileSync(join(checkout, "package.json"), "utf8")).version);
  });

  it("refuses a download with another checksum, or that is no archive, and leaves nothing behind", async () => {
    const other = await cellsam(["setup", "--from", `${server.address}/text.zip`, "--sha256", "0".repeat(64)]);
    expect(other.code).not.toBe(0);
    expect(other.stderr).toContain("ERR_CHECKSUM");
    const text = await cellsam([
      "setup",
      "--from",
      `${server.address}/text.zip`,
      "--sha256",
      hashOf(join(project, "package.json")),
    ]);
    expect(text.code).not.toBe(0);
    expect(text.stderr).toContain("ERR_ARCHIVE");
    expect(readdirSync(join(folder, "cache", "libtorch"))).toEqual([]);
  });

  it("says what to do when the cache cannot be written", async () => {
    const blocked = await cellsam(["setup"], { CELLSAM_CACHE: join(project, "package.json", "cache") });
    expect(blocked.code).not.toBe(0);
    expect(blocked.stderr).toMatch(/CELLSAM_CACHE/);
  });

  it("says what to do when the disk is full", async (context) => {
    const small = join(folder, "small");
    await mkdir(small);
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=20m", "tmpfs", small], { stdio: "ignore" });
    } catch {
      console.warn("SKIPPED: a small file system cannot be mounted here, so a full disk was not tried");
      context.skip();
    }
    try {
      const from = ["--from", `${server.address}/libtorch.zip`, "--sha256", hashOf(archive)];
      const full = await cellsam(["setup", ...from], { CELLSAM_CACHE: small });
      expect(full.code).not.toBe(0);
      expect(full.stderr).toMatch(/disk of .* is full/);
      expect(readdirSync(join(small, "libtorch"))).toEqual([]);
    } finally {
      execFileSync("umount", [small]);
    }
  });

  it("fetches libtorch through a proxy and a cut connection, twice at once", async () => {
    const proxy = await LocalServer.proxy();
    server.cutNext();
    try {
      const sha256 = hashOf(archive);
      // NO_PROXY would take loopback out of it again.
      const throughProxy = { http_proxy: proxy.address, no_proxy: "" };
      const from = ["setup", "--variant", "cpu", "--from", `${server.address}/libtorch.zip`, "--sha256", sha256, "--json"];
      const both = await Promise.all([cellsam(from, throughProxy), cellsam(from, throughProxy)]);
      for (const { code, stderr, stdout } of both) {
        expect(stderr).not.toContain("ERR_");
        expect(code).toBe(0);
        expect(JSON.parse(stdout)).toMatchObject({ version: "2.13.0", variant: "cpu" });
      }
      expect(proxy.requests.length).toBeGreaterThanOrEqual(3);
      expect(server.requests.some(({ range }) => /^bytes=[1-9]\d*-$/.test(range ?? ""))).toBe(true);
      expect(readdirSync(join(folder, "cache", "libtorch"))).toEqual(["2.13.0-cpu"]);
    } finally {
      await proxy.close();
    }
  });

  it("is well then, by doctor's word, and works from a cache that is read-only", async () => {
    await chmod(join(folder, "cache", "libtorch", "2.13.0-cpu"), 0o555);
    const { code, stdout } = await cellsam(["doctor", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({ ok: true });
    expect(code).toBe(0);
    await chmod(join(folder, "cache", "libtorch", "2.13.0-cpu"), 0o755);
  });

  it("finds nuclei at once, with the weights that came along", async () => {
    const image = join(checkout, "examples", "nuclei", "images", "dsb_2f929b067a59.png");
    const { code, stderr, stdout } = await cellsam(["predict", image, "--weights", "cellsam-tiny", "--out", "found", "--json"]);
    expect(stderr).not.toContain("ERR_");
    expect(code).toBe(0);
    // 52 by hand.
    const [{ cells }] = JSON.parse(stdout).images as [{ cells: number }];
    expect(cells).toBeGreaterThan(30);
    expect(cells).toBeLessThan(80);
  });

  /** One epoch of each stage on four synthetic images, from a module system or a thread of one's own. */
  const program = (head: string) => `${head}
async function main(where) {
  const { imgPath, maskPath } = await generateSynthetic({ directory: where + "-data", images: 4, size: 96, seed: 5 });
  const stage = { totalEpochs: 1, learningRate: 1e-3 };
  const runner = new ExperimentRunner({ imgPath, maskPath, outputDir: "out", outputName: where, size: "tiny", device: "cpu",
    threads: 1, tileSize: 96, strategy: "train_val_split", valRatio: 0.25, stage1Config: stage, stage2Config: stage });
  const [fold] = await runner.run();
  console.log(JSON.stringify({ where, losses: fold.stage2.valHistory.total_loss, version: process.version }));
}
`;
  const programs: Record<string, Record<string, string>> = {
    "a CommonJS file": {
      "train.cjs": `${program('const { ExperimentRunner, generateSynthetic } = require("cellsam-train");')}main("cjs");`,
    },
    "an ES module": {
      "train.mjs": `${program('import { ExperimentRunner, generateSynthetic } from "cellsam-train";')}await main("esm");`,
    },
    "a worker thread": {
      "worker.mjs": `${program('import { ExperimentRunner, generateSynthetic } from "cellsam-train";')}await main("worker");`,
      "start.mjs": 'import { Worker } from "node:worker_threads"; new Worker(new URL("./worker.mjs", import.meta.url));',
    },
  };

  async function trains(files: Record<string, string>, interpreter: string) {
    for (const [name, text] of Object.entries(files)) await writeFile(join(project, name), text);
    await rm(join(project, "out"), { recursive: true, force: true });
    const ended = await go(interpreter, [Object.keys(files).at(-1) as string]);
    expect(ended.stderr).toBe("");
    expect(ended.code).toBe(0);
    const told = JSON.parse(ended.stdout.trim().split("\n").at(-1) as string);
    expect(told.losses).toHaveLength(1);
    expect(Number.isFinite(told.losses[0])).toBe(true);
    expect(existsSync(join(project, "out", told.where, "models", "fold_1", "best_model_s2.pth"))).toBe(true);
    return told as { version: string };
  }

  it.each(Object.keys(programs))("trains tiny from %s", async (kind) => {
    await trains(programs[kind] as Record<string, string>, node());
  });

  it("trains on Node.js 24 too", async () => {
    const prefix = join(folder, "node24");
    const name = `node-${process.platform}-${process.arch}`;
    execFileSync("npm", ["install", "--prefix", prefix, "--ignore-scripts", "--no-audit", "--no-fund", `${name}@24`], {
      stdio: "ignore",
    });
    const other = join(prefix, "node_modules", name, "bin", "node");
    for (const files of Object.values(programs)) {
      expect((await trains(files, other)).version).toMatch(/^v24\./);
    }
  });

  it("runs nothing when it is installed: package managers block such scripts", async () => {
    const manifest = JSON.parse(await readFile(join(project, "node_modules", "cellsam-train", "package.json"), "utf8"));
    for (const name of ["preinstall", "install", "postinstall"]) expect(manifest.scripts[name]).toBeUndefined();
  });
});
