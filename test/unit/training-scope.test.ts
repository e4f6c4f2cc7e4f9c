// Which parameters each stage trains, over the real engine: exactly the documented ones move, every one of them, and all
// others keep their bits. Shared prediction heads move under each of their names.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Session, StageOptions } from "../../lib/engine/session.js";
import { rowsHere } from "../device.js";
import { ellipses, moved, smallSession, storeOf, train, weightsOf } from "./training-tiles.js";

const folder = mkdtempSync(join(tmpdir(), "cellsam-scope-"));
let store: string;
beforeAll(async () => {
  store = await storeOf([ellipses(1, 5), ellipses(2, 4)], join(folder, "tiles"));
});
afterAll(() => rmSync(folder, { recursive: true }));

// Without decay a parameter moves only if a gradient reaches it.
const common = { epochs: 1, stepsPerEpoch: 4, optimizer: "adamw", learningRate: 1e-3, weightDecay: 0 };

async function movedBy(session: Session, options: Partial<StageOptions>) {
  const before = await session.digest();
  await session.beginStage({ ...common, stage: 1, ...options });
  const { events } = await train(session, store, [0, 1, 0, 1]);
  await session.endStage();
  const after = await session.digest();
  return { names: Object.keys(before), changed: moved(before, after), events };
}

const head = "cellfinder.decode_head.";
const cellfinderBackbone = `${head}backbone.body.`;
const isHead = (name: string) => name.startsWith(head) && !name.startsWith(cellfinderBackbone);
const isPrediction = (name: string) =>
  /^cellfinder\.decode_head\.transformer\.(class_embed|bbox_embed|pattern|position|adapt_pos1d|adapt_pos2d)\./.test(name);
const isCellfinderBackbone = (name: string) => name.startsWith(cellfinderBackbone);
const isSamBackbone = (name: string) => /^model\.image_encoder\.(pos_embed|patch_embed|blocks)/.test(name);

// What LoRA changes: the matrices of the backbone that trains.
const isAttention = (name: string) => isCellfinderBackbone(name) && /\.attn\.(qkv|proj)\.weight$/.test(name);
const isMlp = (name: string) => isCellfinderBackbone(name) && /\.mlp\.lin[12]\.weight$/.test(name);

describe("stage 1", () => {
  test.each(
    rowsHere<[string, Record<string, unknown>, ((name: string) => boolean)[]]>([
      ["cellfinder", {}, [isHead, isCellfinderBackbone]],
      ["cellfinder", { headScope: "prediction" }, [isPrediction, isCellfinderBackbone]],
      ["cellfinder", { denseLossWeight: 1 }, [isHead, isCellfinderBackbone]],
      ["cellfinder", { freezeBackbone: true }, [isHead]],
      ["cellfinder", { loraRank: 2 }, [isHead, isAttention]],
      ["cellfinder", { loraRank: 2, loraLayers: "mlp" }, [isHead, isMlp]],
      ["image_encoder", {}, [isHead, isSamBackbone]],
      ["image_encoder", { freezeBackbone: true }, [isHead]],
      ["all_backbones", {}, [isHead, isCellfinderBackbone, isSamBackbone]],
      ["all_backbones", { headScope: "prediction" }, [isPrediction, isCellfinderBackbone, isSamBackbone]],
      ["head_only", {}, [isHead]],
      ["head_only", { headScope: "prediction" }, [isPrediction]],
      ["head_only", { auxLoss: false }, [isHead]],
    ]),
  )("D4: %s %j trains its parameters and no others", async (stage1Type, options, parts) => {
    await using session = await smallSession();
    const { names, changed } = await movedBy(session, { stage1Type, ...options });
    expect(changed).toEqual(names.filter((name) => parts.some((part) => part(name))));
    expect(changed.length).toBeGreaterThan(10);
  });

  test("the heads that decoder layers share move as one", async () => {
    await using session = await smallSession();
    const { changed } = await movedBy(session, { stage1Type: "head_only" });
    const digest = await session.digest();
    for (const name of ["class_embed.0.weight", "bbox_embed.0.layers.0.weight"]) {
      const first = `${head}transformer.${name}`;
      expect(changed).toContain(first);
      expect(changed).toContain(first.replace(".0.", ".1."));
      expect(digest[first.replace(".0.", ".1.")]).toBe(digest[first]);
    }
  });

  test("a dense head teaches the detector, and is in no weights and no reported loss", async () => {
    const run = async (options: Partial<StageOptions>) => {
      await using session = await smallSession();
      const { trainable } = await session.beginStage({ ...common, stage: 1, ...options });
      const { events, losses } = await train(session, store, [0, 1, 0, 1], { batchSize: 4 });
      return { trainable, events, losses, digest: await session.digest() };
    };
    const [without, beside] = [await run({}), await run({ denseLossWeight: 1 })];
    expect(beside.losses).toEqual(without.losses); // of one step, before it changes weights
    const own = beside.trainable.filter((name) => !without.trainable.includes(name));
    expect(own.length).toBe(8);
    expect(own.every((name) => name.startsWith("dense_head."))).toBe(true);
    expect(Object.keys(beside.digest)).toEqual(Object.keys(without.digest));
    expect(moved(without.digest, beside.digest).some(isCellfinderBackbone)).toBe(true);
  });

  test("by LoRA a backbone learns the numbers of two factors for each matrix, and needs one that trains", async () => {
    await using session = await smallSession();
    const { groups } = await session.beginStage({ ...common, stage: 1, loraRank: 2, loraLayers: "all" });
    const shapes = (await session.parameters())
      .filter(({ name }) => isAttention(name) || isMlp(name))
      .map(({ shape }) => shape);
    const factors = shapes.map(([rows = 0, columns = 0]) => 2 * (rows + columns));
    expect(groups.find(({ name }) => name === "backbone")?.parameters).toBe(factors.reduce((sum, of) => sum + of, 0));
    for (const options of [{ stage: 1, stage1Type: "head_only" }, { stage: 2 }]) {
      await expect(session.beginStage({ ...common, ...options, loraRank: 2 } as StageOptions)).rejects.toMatchObject({
        code: "ERR_INVALID_ARGUMENT",
        message: expect.stringContaining("lora_rank is for a backbone that trains"),
      });
    }
  });

  test("the backbone's group learns at its own ratio", async () => {
    await using session = await smallSession();
    const { groups, trainable, parameters } = await session.beginStage({ ...common, stage: 1, backboneLrRatio: 0.1 });
    expect(groups.map(({ name, lr }) => [name, lr])).toEqual([
      ["head", 1e-3],
      ["backbone", expect.closeTo(1e-4, 12)],
    ]);
    expect(groups.reduce((sum, group) => sum + group.parameters, 0)).toBe(parameters);
    const marked = (await session.parameters()).filter((entry) => entry.trainable);
    expect(marked.map((entry) => entry.name).sort()).toEqual([...trainable].sort());
    await session.endStage();
    expect((await session.parameters()).some((entry) => entry.trainable)).toBe(false);
  });
});

describe("stage 2", () => {
  const isNeck = (name: string) => name.startsWith("model.image_encoder.neck.");
  // What a box reaches: both corners and the learned stand-in for a mask.
  const isPrompt = (name: string) => /^model\.prompt_encoder\.(point_embeddings\.[23]|no_mask_embed)\.weight$/.test(name);
  // One mask per prompt: of the four mask tokens' networks the first; the IoU head only with an IoU loss. A softmax over the
  // image tokens does not see a bias that all of its keys share.
  const isDecoder = (name: string) =>
    name.startsWith("model.mask_decoder.") &&
    !/mlps\.[123]\.|_token_to_image\.k_proj\.bias$/.test(name) &&
    !name.includes("iou_prediction_head");
  const isIouHead = (name: string) => name.startsWith("model.mask_decoder.iou_prediction_head.");

  test.each(
    rowsHere<[string, Record<string, unknown>, ((name: string) => boolean)[]]>([
      ["by default", {}, [isNeck]],
      ["neck only wins over open flags", { freezeMaskDecoder: false, freezeImageEncoder: false }, [isNeck]],
      ["nothing unfrozen", { trainNeckOnly: false }, [isNeck]],
      ["the backbone", { trainNeckOnly: false, freezeImageEncoder: false }, [isNeck, isSamBackbone]],
      [
        "the backbone by LoRA",
        { trainNeckOnly: false, freezeImageEncoder: false, loraRank: 4, loraLayers: "all" },
        [isNeck, (name) => isSamBackbone(name) && /(attn\.(qkv|proj)|mlp\.lin[12])\.weight$/.test(name)],
      ],
      ["the prompt encoder", { trainNeckOnly: false, freezePromptEncoder: false }, [isNeck, isPrompt]],
      ["the mask decoder", { trainNeckOnly: false, freezeMaskDecoder: false }, [isNeck, isDecoder]],
      [
        "the mask decoder and IoU",
        { trainNeckOnly: false, freezeMaskDecoder: false, iouLossWeight: 1 },
        [isNeck, isDecoder, isIouHead],
      ],
    ]),
  )("D3: %s: the neck moves, and what is unfrozen", async (_, options, parts) => {
    await using session = await smallSession();
    const { names, changed, events } = await movedBy(session, { stage: 2, ...options });
    expect(changed).toEqual(names.filter((name) => parts.some((part) => part(name))));
    expect(changed.filter(isNeck)).toHaveLength(6);
    expect(events[0]?.gradNorm).toBeGreaterThan(0);
    expect(events.map(({ step }) => step)).toEqual([1, 2, 3, 4]);
  });
});

describe("a checkpoint with a second SAM", () => {
  test("D8: stage 2 trains the one that inference uses, the first stays", async () => {
    await using session = await smallSession({ generation: "adv" });
    const { names, changed } = await movedBy(session, { stage: 2 });
    expect(changed).toEqual(names.filter((name) => name.startsWith("model_cp.image_encoder.neck.")));
    expect(changed).toHaveLength(6);
  });

  test.each(["pth", "safetensors"] as const)("both generations survive %s and replace one another", async (format) => {
    const paths = { plain: join(folder, `plain.${format}`), adv: join(folder, `adv.${format}`) };
    const digests: Record<string, Record<string, string>> = {};
    for (const [generation, path] of Object.entries(paths) as ["plain" | "adv", string][]) {
      await using session = await smallSession({ generation, seed: 7 });
      await movedBy(session, { stage: 2 });
      await session.save(path, { format });
      digests[generation] = await session.digest();
    }
    await using session = await smallSession();
    for (const generation of ["adv", "plain", "adv"] as const) {
      const report = await session.load(paths[generation]);
      expect(report).toMatchObject({ generation, missing: [], unexpected: [], mismatched: [] });
      expect(await session.digest()).toEqual(digests[generation]);
    }
    expect(Object.keys(digests.plain ?? {}).some((name) => name.startsWith("model_cp."))).toBe(false);
  });

  test("a checkpoint that does not fit leaves the generation and every bit", async () => {
    const paths = { plain: join(folder, "deep-plain.pth"), adv: join(folder, "deep-adv.pth") };
    for (const [generation, path] of Object.entries(paths) as ["plain" | "adv", string][]) {
      await using deeper = await smallSession({ generation, overrides: { depth: 3 } });
      await deeper.save(path);
    }
    for (const generation of ["plain", "adv"] as const) {
      await using session = await smallSession({ generation });
      const before = await session.digest();
      for (const path of Object.values(paths)) {
        await expect(session.load(path)).rejects.toMatchObject({ code: "ERR_CHECKPOINT_MISMATCH" });
        expect(await session.digest()).toEqual(before);
      }
    }
  });

  test("the generation cannot change under an open stage", async () => {
    const [plain, adv] = [join(folder, "stage-plain.pth"), join(folder, "stage-adv.pth")];
    await using one = await smallSession();
    await using two = await smallSession({ generation: "adv" });
    await one.save(plain);
    await two.save(adv);
    for (const [session, other] of [
      [one, adv],
      [two, plain],
    ] as const) {
      const before = await session.digest();
      await session.beginStage({ ...common, stage: 2 });
      await expect(session.load(other)).rejects.toMatchObject({ code: "ERR_STATE" });
      expect(await session.digest()).toEqual(before);
    }
  });
});

test("a backbone is copied over the other one, in either direction, and nothing else", async () => {
  for (const to of ["image_encoder", "cellfinder"] as const) {
    await using session = await smallSession();
    const before = await weightsOf(session, folder);
    const digest = await session.digest();
    await session.transferWeights(to);
    const after = await weightsOf(session, folder);
    const [from, target] =
      to === "cellfinder" ? ["model.image_encoder.", cellfinderBackbone] : [cellfinderBackbone, "model.image_encoder."];
    const names = [...before.keys()]
      .filter((name) => isCellfinderBackbone(name))
      .map((name) => name.slice(cellfinderBackbone.length));
    expect(names).toContain("pos_embed");
    for (const name of names) expect(after.get(target + name), name).toEqual(before.get(from + name));
    const changed = moved(digest, await session.digest());
    expect(changed.length).toBeGreaterThan(10);
    expect(changed.filter((name) => !name.startsWith(target) || name.includes("neck"))).toEqual([]);
  }
});
