// The session's commands that only compute, whose time `cellsam bench` takes.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type NativeSession, openNative } from "../../lib/engine/native.js";
import { testDevice } from "../device.js";

let session: NativeSession;
beforeAll(async () => {
  session = await openNative({ kind: "model", size: "tiny", device: testDevice, precision: "fp32", threads: 1 });
});
afterAll(() => session.dispose());

const run = (command: string, args: Record<string, unknown>) =>
  session.call(command, args).promise as Promise<{ mean: number }>;

describe.each([
  ["encode", "batch_size", 2],
  ["multiply", "side", 64],
])("%s", (command, name, count) => {
  it("gives the same however often it is repeated", async () => {
    const once = await run(command, { [name]: count, repeats: 1 });
    expect(Number.isFinite(once.mean)).toBe(true);
    expect(once.mean).not.toBe(0);
    expect(await run(command, { [name]: count, repeats: 3 })).toEqual(once);
    expect(await run(command, { [name]: count + 1, repeats: 1 })).not.toEqual(once);
  });

  it("refuses numbers below 1, and what it does not know", async () => {
    for (const args of [{ [name]: 0, repeats: 1 }, { [name]: count, repeats: 0 }, { [name]: count, repeats: 1, other: 1 }, {}])
      await expect(run(command, args)).rejects.toMatchObject({ code: "ERR_INVALID_ARGUMENT" });
  });

  it("ends when it is cancelled", async () => {
    const job = session.call(command, { [name]: count, repeats: 2 ** 40 });
    job.cancel();
    await expect(job.promise).rejects.toMatchObject({ code: "ERR_CANCELLED" });
  });
});
