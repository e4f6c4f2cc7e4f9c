// A few of the faults that `node test/faults/run.mjs` tries everywhere: killed, without disk space, without power, damaged.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FlipTest } from "./bitFlips.mjs";
import { FaultTest } from "./faults.mjs";
import { killings, lostAtEnd, powerLosses, tryDisk } from "./powerLoss.mjs";
import type { Scenario } from "./scenario.mjs";
import { scenarios } from "./scenarios.mjs";

describe.skipIf(process.platform !== "linux")("a fault at an operation on files", () => {
  const folder = mkdtempSync(join(tmpdir(), "cellsam-faults-"));
  afterAll(() => {
    all.cellsam.end();
    rmSync(folder, { recursive: true, force: true });
  });
  let all: Awaited<ReturnType<typeof scenarios>>;
  beforeAll(async () => {
    all = await scenarios(folder);
  });
  const faultTest = async (name: string) => FaultTest.of(all.cellsam, (await all.faults[name]?.()) as Scenario);
  const at = ({ places }: FaultTest, share: number) => places[Math.floor(share * places.length)] as number;

  it.each(["train", "predict"])("of %s ends with a code, and --resume or another try comes to the same files", async (name) => {
    const test = await faultTest(name);
    expect(test.places.length).toBeGreaterThan(30);
    const folder = test.operations.find(({ kind }) => kind === "m")?.number as number;
    expect(await test.tryAt("full-once", folder)).toBeNull();
    for (const share of [0.3, 0.6, 0.9])
      for (const mode of ["kill", "full", "full-once"] as const) expect(await test.tryAt(mode, at(test, share))).toBeNull();
  });

  it.each(["train", "predict"])("of %s may be a power failure, which takes nothing that was finished", async (name) => {
    const test = await faultTest(name);
    const places = [0.5, 0.8].map((share) => at(test, share));
    let disks = 0;
    for (const loss of powerLosses(test, { places, drawn: 1 })) {
      expect((await tryDisk(test, loss, { mayRefuse: true })).problem).toBeNull();
      disks += 1;
    }
    expect(disks).toBeGreaterThan(2);
    expect(lostAtEnd(test)).toBeNull();
  });

  it("of a killed command leaves a disk from which --resume comes to the same files", async () => {
    const test = await faultTest("train");
    const places = [0.15, 0.45, 0.75].map((share) => at(test, share));
    let disks = 0;
    for (const left of killings(test, { places })) {
      expect((await tryDisk(test, left, { mayRefuse: false })).problem).toBeNull();
      disks += 1;
    }
    expect(disks).toBeGreaterThan(2);
  });

  it("may have left a changed bit in a file, which a resumed run notices or does not read", async () => {
    const test = await FlipTest.of(all.cellsam, (await all.flips["half-run"]?.()) as Scenario);
    const files = test.files.filter((file) => /run\.json|safetensors|\.store$|manifest/.test(file));
    expect(files.length).toBeGreaterThan(3);
    const codes = [];
    for (const file of files) {
      const { refused, problem } = await test.tryFlip(file, 1);
      expect(problem).toBeNull();
      codes.push(refused);
    }
    expect(codes).toContain(true);
  });
});
