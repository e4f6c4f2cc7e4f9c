// A process that does the work of one side. It gets requests and returns results as lines of JSON, so that two of them can run
// alternately.
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** @import { Answer, Request, SideKind, Tools } from "./types.js" */

const here = import.meta.dirname;

export class Side {
  #child;
  #answers;
  #complaints = "";

  /**
   * @param {SideKind} kind
   * @param {Tools} tools
   */
  constructor(kind, { python, peer, libtorch, program, threads, device }) {
    /** @type {Record<SideKind, [command: string, args: string[]]>} */
    const commands = {
      peer: [python, ["-u", join(here, "peer", "worker.py"), peer]],
      native: [program, []],
      package: [process.execPath, [join(here, "package_worker.mjs")]],
    };
    const [command, args] = commands[kind];
    const count = String(threads);
    /** @type {NodeJS.ProcessEnv} */
    const env = { ...process.env, OMP_NUM_THREADS: count, MKL_NUM_THREADS: count, OMP_WAIT_POLICY: "passive" };
    if (kind === "native") env.LD_LIBRARY_PATH = join(libtorch, "lib");
    if (kind === "native" && device === "cuda") env.CELLSAM_BENCH_CUDA = cudaKernels();
    if (kind === "package") env.CELLSAM_LIBTORCH = libtorch;
    if (kind === "peer") env.TORCHINDUCTOR_CACHE_DIR ??= join(here, "..", "build", "bench", "inductor");
    this.#child = spawn(command, args, { env, stdio: ["pipe", "pipe", "pipe"] });
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
    this.#child.stderr.on("data", (text) => {
      this.#complaints = (this.#complaints + text).slice(-4000);
    });
    this.#child.on("error", (error) => {
      this.#complaints += error.message;
    });
    this.#child.stdin.on("error", () => {}); // a process that has died is reported because its result is missing
    this.kind = kind;
  }

  /**
   * @param {Request} request
   * @returns {Promise<Answer>}
   */
  async ask(request) {
    this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await this.#answers.next();
    if (done) throw new Error(`the ${this.kind} process ended: ${this.#complaints.trim().split("\n").slice(-3).join(" | ")}`);
    const answer = JSON.parse(value);
    if (answer.error) throw new Error(`${this.kind}: ${answer.error}`);
    return answer;
  }

  /** Ends the process and waits for it, so that the next one has the machine for itself. */
  async close() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.#child.once("close", resolve));
    this.#child.stdin.end();
    await gone;
  }
}

/** The library with this package's CUDA kernels, which the loader of the package finds beside the engine. */
function cudaKernels() {
  const folder = join(here, "..", "build", "Release");
  const name = readdirSync(folder).find((file) => /^libcellsam_cuda-.*\.so$/.test(file));
  return name ? join(folder, name) : "none";
}
