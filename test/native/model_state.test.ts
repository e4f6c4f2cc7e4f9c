// The state dict of every generation of vit_b has the official names and shapes: checkpoints made here load in Python and back.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { root, runProgram } from "../programs.js";

const official = lines(readFileSync(join(root, "test/fixtures/state_dict_vit_b.tsv"), "utf8"));

function lines(text: string): string[] {
  return text.trim().split("\n");
}

async function stateOf(size: string, generation: "plain" | "adv"): Promise<string[]> {
  return lines(await runProgram("model_state", [size, generation]));
}

describe("state dict of vit_b", () => {
  it("with model_cp has all 1041 official names and shapes, in the official order", async () => {
    expect(official).toHaveLength(1041);
    expect(await stateOf("vit_b", "adv")).toEqual(official);
  });

  it("without model_cp has the same entries but those of model_cp", async () => {
    expect(await stateOf("vit_b", "plain")).toEqual(official.filter((line) => !line.startsWith("model_cp.")));
  });
});
