/**
 * Where the tests run their sessions: on the CPU, or on the device that CELLSAM_TEST_DEVICE names. vitest.config.ts runs those
 * that open a session once more on each of two pretend GPUs (native/fake_cuda/README.md).
 */
import type { Device } from "../lib/engine/session.js";

export const testDevice = (process.env.CELLSAM_TEST_DEVICE ?? "cpu") as Device;

/** A pretend GPU has no libraries with memory of their own. */
export const isPretend = testDevice !== "cpu";

/** The GPU for tests that need one. */
export const testGpu: Device = testDevice === "cpu" ? "cuda" : testDevice;
