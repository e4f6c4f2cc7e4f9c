// The pretend device sees each kind of mistake, and minds none of the right forms beside them (native/fake_cuda/controls.cc).
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { hasPretendDevice, pretendEnvironment, pretendFolder, pretendKernels, readReport } from "./pretend.mjs";

function control(name: string, settings: Record<string, string> = {}) {
  const folder = mkdtempSync(join(tmpdir(), "cellsam-control-"));
  try {
    const path = join(folder, "report");
    const env = pretendEnvironment({ FAKE_CUDA_REPORT: path, CELLSAM_CUDA_LIBRARY: pretendKernels ?? "", ...settings });
    const { stdout, status } = spawnSync(join(pretendFolder, "controls"), [name], {
      env: { ...process.env, OMP_NUM_THREADS: "1", ...env },
      encoding: "utf8",
    });
    const { hazards, processes } = readReport(path);
    return { status, lines: stdout.trim().split("\n"), hazards, report: processes[0] };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The name of a control, what a hazard must say, and what it prints when that tells right from wrong. */
const mistakes: [name: string, hazard: RegExp, printed?: string][] = [
  ["touch", /host touches device memory/],
  ["pinned_changed", /pinned memory has changed/],
  ["pinned_freed", /pinned memory is freed/],
  ["streams_unordered", /reads what aten::add.* writes on another stream/],
  ["overwritten_unordered", /overwrites what another stream reads/],
  ["freed_unrecorded", /may get memory that is still in use/],
  ["graph_leaks_event", /waits for an event of a recording/],
  ["graph_empties_cache", /emptyCache on a thread that records/],
  ["graph_freed", /a graph's aten::add.* uses memory that was freed/],
];

const right: [name: string, ...printed: string[]][] = [
  ["late_read", "read 2"],
  ["pinned_kept", "got 1"],
  ["pinned_freed_late"],
  ["streams_ordered", "sum 3"],
  ["overwritten_ordered"],
  ["freed_recorded"],
  ["host_scalar", "sum 2"],
  ["device_copy", "copy 1"],
  ["graph", "recorded 0", "replayed 11"],
  ["graph_kept", "output 2"],
  ["event_guarded"],
];

/** What CUDA or torch itself refuses. */
const refused: [name: string, error: RegExp][] = [
  ["two_devices", /Expected all tensors to be on the same device.*cuda:0 and cuda:1/],
  ["host_operand", /Expected all tensors to be on the same device.*cpu/],
  ["nondeterministic", /cumsum.* does not have a deterministic implementation/],
  ["no_workspace", /CUBLAS_WORKSPACE_CONFIG/],
  ["graph_waits", /not permitted when stream is capturing \(.*_local_scalar_dense/],
  ["graph_foreign_event", /not permitted when stream is capturing \(.*an event from outside/],
  ["graph_pageable", /not permitted when stream is capturing \(a copy from pageable memory/],
];

describe.skipIf(!hasPretendDevice)("the pretend device", () => {
  test.each(mistakes)("%s is a hazard", (name, hazard) => {
    const { hazards } = control(name);
    expect(hazards).toEqual([expect.stringMatching(hazard)]);
  });

  test.each(right)("%s is none", (name, ...printed) => {
    const { hazards, lines, status } = control(name);
    expect(hazards).toEqual([]);
    expect(status).toBe(0);
    expect(lines.filter(Boolean)).toEqual(printed);
  });

  test.each(refused)("%s is refused", (name, error) => {
    expect(control(name, { CUBLAS_WORKSPACE_CONFIG: "" }).lines.at(-1)).toMatch(error);
  });

  test.each(["early_read", "uninitialised"])("%s shows as NaN", (name) => {
    expect(control(name).lines).toEqual([expect.stringMatching(/nan$/)]);
  });

  test("any allocation can be out of memory", () => {
    const { lines, report } = control("three_allocations", { FAKE_CUDA_FAIL_ALLOCATION: "2" });
    expect(lines).toEqual(["allocation 1", "no allocation 2", "allocation 3"]);
    expect(report?.devices[0]?.outOfMemory).toBe(1);
  });

  test("any call of an operator can fail", () => {
    const { lines } = control("three_sums", { FAKE_CUDA_FAIL_OPERATOR: "aten::sum.IntList_out@2" });
    expect(lines).toEqual(["sum 1000", expect.stringMatching(/^error: .*launch failure/)]);
  });

  test("launches and waits are counted, and named with their places", () => {
    const { report } = control("three_sums");
    // ones: a fill; each sum: a reduction, and a copy and a wait to print it.
    expect(report?.total).toMatchObject({ launches: 7, waits: 3, toHost: 0, allocations: 4 });
    const waits = Object.entries(report?.total.waitsFor ?? {});
    expect(waits).toHaveLength(1);
    expect(waits[0]).toEqual([expect.stringMatching(/^aten::_local_scalar_dense @ controls\+0x/), 3]);
  });

  test.each([
    ["a mask as index", "mask", /aten::index/],
    ["indices in host memory", "host_indices", /blocking copy to the device/],
  ])("%s is a wait", (_, name, why) => {
    expect(Object.keys(control(name).report?.total.waitsFor ?? {}).join()).toMatch(why);
  });

  test("an event of another device than the current one opens a context on both", () => {
    const contexts = (name: string) => control(name).report?.devices.map(({ context }) => context !== null);
    expect(contexts("event_unguarded")).toEqual([true, true]);
    expect(contexts("event_guarded")).toEqual([false, true]);
  });
});
