import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { TrainValSplitStrategy } from "../../lib/strategies/trainValSplit.js";

const sources = Array.from({ length: 10 }, (_, i) => `image_${i}`);

describe("TrainValSplitStrategy", () => {
  it("makes one split with 30 % of the images in validation, the same for the same seed", async () => {
    const [split, ...more] = await new TrainValSplitStrategy().prepareSplits(sources);
    expect(more).toEqual([]);
    expect(split?.seed).toBe(23);
    expect(split?.val).toHaveLength(3);
    expect([...(split?.train ?? []), ...(split?.val ?? [])].sort()).toEqual(sources);
    expect(await new TrainValSplitStrategy().prepareSplits(sources)).toEqual([split]);
    expect(await new TrainValSplitStrategy({ randomSeed: 24 }).prepareSplits(sources)).not.toEqual([split]);
    expect((await new TrainValSplitStrategy({ valRatio: 0.5 }).prepareSplits(sources))[0]?.val).toHaveLength(5);
  });

  it("reads a splits file instead of drawing, and checks it", async () => {
    const folder = await mkdtemp(join(tmpdir(), "cellsam-strategy-"));
    const splits = join(folder, "splits.json");
    await writeFile(splits, JSON.stringify({ seed: 1, train: ["image_1"], val: ["image_0"] }));
    const strategy = new TrainValSplitStrategy({ splits });
    expect(await strategy.prepareSplits(sources)).toEqual([{ seed: 1, train: ["image_1"], val: ["image_0"] }]);
    await expect(strategy.prepareSplits(["image_0"])).rejects.toMatchObject({ code: "ERR_SPLIT" });
  });

  it("refuses to split a single image", async () => {
    await expect(new TrainValSplitStrategy().prepareSplits(["only"])).rejects.toMatchObject({ code: "ERR_SPLIT" });
  });
});
