// Which failures are the machine's, by the codes that Node.js and the engine report.
import { writeFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { CellsamError, failureOf, isMachineFault } from "../../lib/errors.js";
import { writeAtomic } from "../../lib/files/writeAtomic.js";

const reasonOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

it.runIf(process.platform === "linux")("keeps the system's code of a full disk", async () => {
  const full = await reasonOf(writeFile("/dev/full", "text"));
  const wrapped = new CellsamError("ERR_FILE", "run.json could not be written", { cause: full });
  expect(failureOf(wrapped)).toEqual({ code: "ERR_FILE", message: "run.json could not be written", system: "ENOSPC" });
  expect(isMachineFault(failureOf(wrapped))).toBe(true);
});

it("distinguishes them from wrong paths, data and settings", async () => {
  const missing = await reasonOf(writeAtomic("/dev/null/file", "text"));
  expect(failureOf(missing)).toMatchObject({ code: "ERR_FILE", system: "EEXIST" });
  const faults = [missing, new CellsamError("ERR_DATASET", ""), new TypeError(), "text"].map(failureOf);
  expect(faults.map(isMachineFault)).toEqual([false, false, false, false]);
  const short = ["ERR_OUT_OF_MEMORY", "ERR_IO", "ERR_CHECKPOINT_WRITE"] as const;
  expect(short.map((code) => isMachineFault({ code, message: "" }))).toEqual([true, true, true]);
});
