/**
 * Where the tests run their sessions: on the CPU, or on the device that CELLSAM_TEST_DEVICE names. vitest.config.ts runs those
 * that open a session once more on each of two pretend GPUs (native/fake_cuda/README.md).
 */
import { test } from "vitest";
import type { Device } from "../lib/engine/session.js";

export const testDevice = (process.env.CELLSAM_TEST_DEVICE ?? "cpu") as Device;

/** A pretend GPU has no libraries with memory of their own. */
export const isPretend = testDevice !== "cpu";

/** The GPU for tests that need one. */
export const testGpu: Device = testDevice === "cpu" ? "cuda" : testDevice;

/**
 * The rows of a long table of tests. The pretend GPUs divide them, as they take their time and differ only in where their memory is;
 * the CPU and a real GPU have all.
 */
export function rowsHere<Row>(rows: readonly Row[]): Row[] {
  return rows.filter((_, i) => isHere(i));
}

let longTests = 0;

/** A test that is long. The pretend GPUs divide those of a file, as they divide rows; the CPU and a real GPU have all. */
export function longTest(name: string, run: () => Promise<void>): void {
  if (isHere(longTests++)) test(name, run);
}

const isHere = (i: number) => !isPretend || i % 2 === (testDevice === "cuda:1" ? 1 : 0);
