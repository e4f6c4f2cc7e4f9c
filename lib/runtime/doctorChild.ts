/**
 * The child process of `cellsam doctor`. Native code runs in it, since a bad library can end a process. It prints a line for each
 * thing that succeeded, so the first one that is missing names what failed.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { endedBy } from "../processEnd.js";
import type { Driver } from "./gpuSupport.js";

/** A few optimiser steps of a stage on a device. */
export interface StepPlan {
  device: string;
  precision: "fp32" | "bf16";
  stage: 1 | 2;
}

export interface StepDone extends StepPlan {
  /** Of the first step, which also sets things up. */
  seconds: number;
  /** Of the steps after it. */
  imagesPerSecond: number;
}

/** What the child prints, one of these in a line, in this order; `step` once for each step that `info` announces. */
export interface ProbeLine {
  driver?: (Driver & { version: string | null }) | null;
  info?: {
    torch: string;
    cpuCapability: string;
    devices: { kind: string; name: string }[];
    /** Names of the CUDA kernels of this package, or why there are none. */
    cudaKernels: string[] | string;
    steps: StepPlan[];
  };
  step?: StepDone;
}

/** Calls `ring` after some milliseconds unless the function that it returns is called before. */
export type Alarm = (milliseconds: number, ring: () => void) => () => void;

const clock: Alarm = (milliseconds, ring) => {
  const timer = setTimeout(ring, milliseconds);
  return () => clearTimeout(timer);
};

/** The slowest disk that a libtorch is read from, such as a home folder over a busy network, in bytes a second. */
const slowestDisk = 20e6;

/**
 * How long the child may print nothing, in milliseconds: two minutes, and the time that a slow disk takes for the `bytes` of the
 * libraries. It starts again with every line, so that a machine with many GPUs gets as much time for each.
 */
export function patience(bytes: number): number {
  return 120_000 + (bytes / slowestDisk) * 1000;
}

export interface ProbeOptions {
  probe: string;
  env: NodeJS.ProcessEnv;
  /** Whether libtorch is loaded. */
  load: boolean;
  /** Size of the libraries. */
  bytes: number;
  alarm?: Alarm | undefined;
}

export interface ProbeResult {
  lines: ProbeLine[];
  /** The last line that it wrote to stderr when it failed. */
  failure: string | null;
  /** Whether it was ended for printing nothing. */
  late: boolean;
}

export function runProbe({ probe, env, load, bytes, alarm = clock }: ProbeOptions): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [probe, ...(load ? ["--load"] : [])], { env, stdio: ["ignore", "pipe", "pipe"] });
    const lines: ProbeLine[] = [];
    let [errors, late] = ["", false];
    const limit = patience(bytes);
    const ring = () => {
      late = true;
      child.kill("SIGKILL");
    };
    let cancel = alarm(limit, ring);
    createInterface({ input: child.stdout }).on("line", (text) => {
      if (!text.startsWith("{")) return;
      try {
        lines.push(JSON.parse(text) as ProbeLine);
      } catch {
        return; // the process ended in the middle of a line
      }
      cancel();
      cancel = alarm(limit, ring);
    });
    child.stderr.on("data", (data: Buffer) => {
      errors += data;
    });
    const end = (code: number | null, signal: NodeJS.Signals | null, why: string) => {
      cancel();
      const last = errors.trim().split(/\r?\n/).at(-1) || why;
      const killer = endedBy(code, signal);
      const waited = `ended after ${Math.round(limit / 1000)} s without an answer`;
      resolve({ lines, failure: late ? waited : killer ? `ended by ${killer}` : code === 0 ? null : last, late });
    };
    child.on("error", (error) => end(null, null, error.message));
    child.on("close", (code, signal) => end(code, signal, `ended with exit code ${code}`));
  });
}
