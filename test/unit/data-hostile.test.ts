// Every case of shared/data/hostile.tar.gz does what its list says or better: one error that names the bad file, the sound pair beside it
// usable, no crash, no hang. The data sets are read in a child process without root's rights, through the compiled package.
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../programs.js";

interface Case {
  wrong: string;
  expect: "reject" | "accept" | "either";
  good_pairs: number;
  n_objects?: number;
}
interface Outcome {
  pairs: { source: string; cells: number }[];
  problems: { code: string; path: string; message: string; fix: string }[];
}

const archive = resolve(root, process.env.CELLSAM_DATA ?? "../shared/data", "hostile.tar.gz");
const there = existsSync(archive) && existsSync(join(root, "dist", "data", "check.js"));
if (!there) console.warn(`SKIPPED: no ${archive}, or the package is not compiled`);

// The list is needed to name the tests, so it is read before they are declared.
const list: Record<string, Case> = there
  ? JSON.parse(execFileSync("tar", ["xzOf", archive, "hostile/expected.json"], { encoding: "utf8" })).cases
  : {};
// Nothing is unreadable for its owner on Windows.
const names = Object.keys(list).filter((name) => process.platform !== "win32" || name !== "unreadable");

describe.skipIf(!there)("hostile data sets", () => {
  let folder = "";
  let outcomes: Record<string, Outcome> = {};
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "cellsam-hostile-"));
    chmodSync(folder, 0o755);
    execFileSync("tar", ["xzpf", archive, "-C", folder]);
    const child = join(root, "test/fixtures/data/hostile_child.mjs");
    const output = execFileSync(process.execPath, ["--max-old-space-size=1024", child, join(folder, "hostile"), ...names], {
      encoding: "utf8",
      timeout: 900_000,
      maxBuffer: 2 ** 26,
    });
    outcomes = JSON.parse(output);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each(names)("%s", (name) => {
    const want = list[name] as Case;
    const { pairs, problems } = outcomes[name] as Outcome;
    if (want.expect === "accept") expect(problems).toEqual([]);
    if (want.expect === "reject") expect(problems.length).toBeGreaterThan(0);
    for (const problem of problems) {
      expect(problem.code).toMatch(/^ERR_/);
      expect(problem.path).toContain(join(folder, "hostile", name));
      expect(problem.message).not.toBe("");
      expect(problem.fix).not.toBe("");
    }
    expect(pairs.length).toBeGreaterThanOrEqual(want.good_pairs);
    const bad = pairs.filter(({ source }) => source !== "ok_000");
    if (want.n_objects !== undefined && bad.length === 1) expect(bad[0]?.cells).toBe(want.n_objects);
    const sound = pairs.find(({ source }) => source === "ok_000");
    if (sound) expect(sound.cells).toBe(8);
    else expect(want.good_pairs).toBe(0);
  });

  it("has read the list of the archive that it tests", () => {
    expect(JSON.parse(readFileSync(join(folder, "hostile/expected.json"), "utf8")).cases).toEqual(list);
    expect(names.length).toBeGreaterThan(40);
  });
});
