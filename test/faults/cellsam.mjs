/** Commands of cellsam with faults. Linux only: a small library (shim.c) stands between the process and the system. */
import { fork, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readTrace } from "./trace.mjs";

/**
 * "kill": the process ends as by kill -9. "full": the disk is full from then on. "full-once": one operation finds it full. "trace":
 * no fault; what is done is written down. `at` counts operations on files from 1.
 * @typedef {{ mode: "none" | "kill" | "full" | "full-once" | "trace", at?: number }} Fault
 */

/** @typedef {{ code: number | null, signal: string | null, stderr: string }} End */

/** As shim.c numbers them. @type {Fault["mode"][]} */
const modes = ["none", "kill", "full", "full-once", "trace"];

/** The library between processes and the system, which is asked for a fault and writes down what was done. */
export class Shim {
  #control;
  #trace;
  /** The environment of the processes. */
  env;

  /** Faults are for files below `out`; `folder` holds files of the driver. @param {string} folder @param {string} out */
  constructor(folder, out) {
    this.#control = join(folder, "control");
    this.#trace = join(folder, "trace");
    writeFileSync(this.#control, Buffer.alloc(32));
    this.env = {
      ...process.env,
      LD_PRELOAD: compileShim(folder),
      CELLSAM_FAULT_DIR: out,
      CELLSAM_FAULT_CONTROL: this.#control,
      CELLSAM_FAULT_TRACE: this.#trace,
    };
  }

  /** Operations are counted from here on. @param {Fault} fault */
  ask({ mode, at = 0 }) {
    const control = Buffer.alloc(32);
    // The number of the last operation, what is asked for, and where.
    for (const [i, value] of [0, modes.indexOf(mode), at].entries()) control.writeBigInt64LE(BigInt(value), 8 * i);
    writeFileSync(this.#control, control, { flag: "r+" });
  }

  /** How many operations have begun. */
  get operations() {
    return Number(readFileSync(this.#control).readBigInt64LE());
  }

  /** What was done, where that was to be traced. */
  takeTrace() {
    const operations = readTrace(this.#trace);
    writeFileSync(this.#trace, "");
    return operations;
  }
}

export class Cellsam {
  #shim;
  /** @type {import("node:child_process").ChildProcess | undefined} */
  #child;
  #printed = "";

  /** @param {string} folder @param {string} out */
  constructor(folder, out) {
    this.#shim = new Shim(folder, out);
  }

  /** @param {string[]} args @param {Fault} [fault] @returns {Promise<End>} */
  async run(args, fault = { mode: "none" }) {
    this.#shim.ask(fault);
    const child = this.#child ?? this.#start();
    this.#printed = "";
    return new Promise((resolve) => {
      const onMessage = (/** @type {End} */ end) => {
        child.off("close", onClose);
        resolve(end);
      };
      const onClose = (/** @type {number | null} */ code, /** @type {string | null} */ signal) => {
        child.off("message", onMessage);
        this.#child = undefined;
        resolve({ code, signal, stderr: this.#printed });
      };
      child.once("message", onMessage);
      child.once("close", onClose);
      child.send(args);
    });
  }

  /** How many operations the last command began. */
  get operations() {
    return this.#shim.operations;
  }

  /** What the last command did, which was to be traced. */
  takeTrace() {
    return this.#shim.takeTrace();
  }

  end() {
    this.#child?.kill("SIGKILL");
    this.#child = undefined;
  }

  #start() {
    const child = fork(fileURLToPath(new URL("runner.mjs", import.meta.url)), { env: this.#shim.env, silent: true });
    child.stderr?.on("data", (text) => {
      this.#printed += text;
    });
    this.#child = child;
    return child;
  }
}

/** @param {string} folder */
function compileShim(folder) {
  const library = join(folder, "shim.so");
  const source = fileURLToPath(new URL("shim.c", import.meta.url));
  const { status, stderr } = spawnSync("cc", ["-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], { encoding: "utf8" });
  if (status !== 0) throw new Error(`shim.c: ${stderr}`);
  return library;
}
