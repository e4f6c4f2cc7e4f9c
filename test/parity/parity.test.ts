// Runs every parity case through its native program and judges each tensor. PARITY_DIR names the folder of cases: those of
// ../shared/parity, or others of the same form with other sizes.
import { existsSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { expectAllHold, root } from "../programs.js";

const cases = resolve(root, process.env.PARITY_DIR ?? "../shared/parity");
if (!existsSync(cases)) console.warn(`SKIPPED: no parity cases in ${cases}; set PARITY_DIR`);

const programOf: Record<string, string> = {
  "01": "image_encoder",
  "02": "prompt_encoder",
  "03": "mask_decoder",
  "04": "postprocess_masks",
  "05": "preprocess",
  "06": "cellfinder",
  "06b": "rcda",
  "07": "matcher",
  "08": "set_criterion",
  "09": "seg_losses",
  "10": "adamw",
  "11": "full_inference",
  "12": "kmeans_threshold",
};

describe.skipIf(!existsSync(cases))("parity with the official Python", () => {
  const folders = existsSync(cases) ? readdirSync(cases).filter((name) => existsSync(join(cases, name, "case.json"))) : [];
  const numberOf = (folder: string) => folder.split("_")[0] ?? "";

  it("has a program for every case", () => {
    expect(folders.length).toBeGreaterThan(0);
    expect(folders.filter((folder) => !programOf[numberOf(folder)])).toEqual([]);
  });

  for (const folder of folders) {
    const program = programOf[numberOf(folder)];
    if (!program) continue;
    it(`${folder} (${program})`, () => expectAllHold(program, [join(cases, folder)], 1));
  }
});
