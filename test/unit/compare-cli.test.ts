import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { compareCommand } from "../../lib/cli/compare.js";
import { writeJson } from "../../lib/files/json.js";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "cellsam-compare-cli-"));
});
afterAll(() => rm(root, { recursive: true }));

async function experiment(name: string, f1: number[]): Promise<string> {
  const folds = f1.map((value, i) => ({ fold: i + 1, train_images: 8, val_images: 2, evaluation: { f1: value }, error: null }));
  await writeJson(
    join(root, name, "splits.json"),
    f1.map((_, i) => ({ seed: 1, train: ["a"], val: [`b${i}`] })),
  );
  await writeJson(join(root, name, "results", "individual_results.json"), folds);
  return join(root, name);
}

async function run(...args: string[]): Promise<string> {
  let text = "";
  const write = vi.spyOn(process.stdout, "write").mockImplementation((chunk) => {
    text += chunk;
    return true;
  });
  await compareCommand().parseAsync(args, { from: "user" });
  write.mockRestore();
  return text;
}

describe("cellsam compare", () => {
  it("prints a table with a verdict, or JSON", async () => {
    const a = await experiment("a", [0.5, 0.52, 0.48, 0.51, 0.49]);
    const b = await experiment("b", [0.7, 0.73, 0.67, 0.72, 0.69]);
    const table = await run(a, b);
    expect(table).toMatch(/5 folds, each with the same weight/);
    expect(table).toMatch(/F1 +0\.202 .*better/);
    for (const line of table.split("\n").slice(2, 7)) expect(line.length).toBeLessThan(80);
    expect(table).toContain("cannot be below 0.0625");
    const same = JSON.parse(await run(a, a, "--json"));
    expect(same.folds.metrics.f1).toMatchObject({ verdict: "not enough evidence", difference: { mean: 0 }, p_holm: 1 });
    expect(same).toMatchObject({ images: null, folds: { val_over_train: 0.25, n: 5 } });
  });
});
