/** Whether the tests of this folder can run, and where: they need a GPU, its driver and a CUDA build of libtorch. */
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
if (reason) console.warn(`SKIPPED: no test of test/gpu runs, since ${reason}`);
