// Prepares what rows need: a Python with the peer's packages and the native bench program; and describes the machine for the
// results.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, totalmem } from "node:os";
import { join, resolve } from "node:path";
import { resolveLibtorch } from "../dist/runtime/resolve.js";
import { fail, root, run } from "../scripts/ready.mjs";
import { Side } from "./side.mjs";

/** @import { Setup, Tools } from "./types.js" */

const folder = join(root, "build", "bench");
const program = join(folder, "native_bench");
const environment = join(folder, "python");

const packages = ["torch==2.13.0", "torchvision", "transformers", "safetensors", "numpy", "scipy", "pillow", "matplotlib"];

/**
 * @param {{ device: string, threads: string, pairs: string, setup: boolean, select: boolean, peer?: string, python?: string }} options
 *   the flags of run.mjs
 * @returns {Promise<Setup & { facts: ReturnType<typeof facts> }>}
 */
export async function prepare(options) {
  const { device } = options;
  if (!options.peer) fail("--peer is missing: the folder with the plain-PyTorch peer (models.py, bench_*.py).");
  if (device !== "cpu" && device !== "cuda") fail(`--device must be cpu or cuda, not ${device}.`);
  const peer = resolve(options.peer);
  if (!existsSync(join(peer, "models.py"))) fail(`${peer} has no models.py: --peer must name the folder of the peer.`);
  const libtorch = resolveLibtorch().path;
  if (options.setup) {
    installPython();
    run(process.execPath, [join(root, "scripts", "build.mjs"), "--bench", "--libtorch", libtorch]);
  }
  const python = options.python ?? process.env.CELLSAM_PYTHON ?? join(environment, "bin", "python");
  if (spawnSync(python, ["-c", "import torch, transformers, safetensors, scipy, PIL"]).status !== 0) {
    fail(`${python} lacks the peer's packages. Give --python FILE, or --setup to make one under build/bench.`);
  }
  if (!existsSync(program)) fail("build/bench/native_bench is missing: npm run build -- --bench, or --setup.");
  /** @type {Tools} */
  const tools = {
    folder,
    peer,
    python,
    libtorch,
    program,
    device,
    threads: Number(options.threads),
    pairs: Math.max(1, Number(options.pairs)),
    select: options.select,
    say: (text) => console.error(`${new Date().toISOString().slice(11, 19)} ${text}`),
  };
  const setup = { ...tools, peakRate: await matrixPeak(tools) };
  return { ...setup, facts: facts(setup) };
}

function installPython() {
  if (existsSync(join(environment, "READY"))) return;
  mkdirSync(folder, { recursive: true });
  run("python3", ["-m", "venv", environment]);
  run(join(environment, "bin", "python"), ["-m", "pip", "install", "--quiet", ...packages]);
  writeFileSync(join(environment, "READY"), "");
}

/**
 * FLOP per second of a large bf16 product with these threads on this device, through the peer's torch.
 * @param {Tools} tools
 */
async function matrixPeak(tools) {
  const side = new Side("peer", tools);
  try {
    await side.ask({ op: "open", row: "peak-rate", folder, device: tools.device, threads: tools.threads });
    return Number((await side.ask({ op: "check" })).flop_per_second);
  } finally {
    await side.close();
  }
}

/** @param {Setup} setup */
function facts({ device, threads, python, peakRate }) {
  /** @type {(command: string, args: string[]) => string | null} */
  const text = (command, args) => spawnSync(command, args, { encoding: "utf8" }).stdout?.trim() || null;
  const gpu = device === "cuda" ? text("nvidia-smi", ["--query-gpu=name", "--format=csv,noheader"]) : null;
  return {
    device,
    threads,
    started: new Date().toISOString(),
    commit: text("git", ["-C", root, "rev-parse", "--short", "HEAD"]),
    cpu: cpus()[0]?.model ?? null,
    cores: availableParallelism(),
    memory: totalmem(),
    gpu,
    torch: text(python, ["-c", "import torch; print(torch.__version__)"]),
    node: process.version,
    matrixPeak: peakRate,
  };
}
