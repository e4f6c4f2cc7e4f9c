/** Whether tests for a GPU can run in this process: on a real one, or on a pretend one (vitest.config.ts). */
import { driverInfo, engineCall } from "../../lib/engine/native.js";

function whyNot(): string | null {
  const driver = driverInfo();
  if (!driver) return "this machine has no GPU with a driver";
  const { devices } = engineCall<{ devices: { kind: string }[] }>("info");
  if (devices.some(({ kind }) => kind === "cuda")) return null;
  return `the libtorch in use has no CUDA that works with this driver (${driver.cuda}); set CELLSAM_LIBTORCH to one that has`;
}

const reason = whyNot();
export const gpu = reason === null;
if (reason) console.warn(`SKIPPED: no test runs on a GPU here, since ${reason}`);
