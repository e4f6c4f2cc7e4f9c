import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { discover } from "../../lib/data/discover.js";
import { nearName } from "../../lib/data/nearNames.js";
import { writeLabels } from "../../lib/data/write.js";

describe("the file that was meant as a mask", () => {
  test.each([
    ["Bild1", "Bild1_mask_final.png"],
    ["Bild1", "Bild 1_mask.png"],
    ["Bild1", "bild1.PNG"],
    ["Bild1", "BILD-1.tif"],
    ["Bild1", "mask_Bild1.png"],
    ["Bild1", "Bild01_labels.tif"],
    ["Bild1", "Blid1_mask.png"],
    ["Bild1", "Bild1 (copy).png"],
    ["Zell-Kern 7", "zellkern_7_GT.png"],
    ["5", "mask_5.png"],
    ["slide_3_field_12", "slide_3_field_12_cp_masks_v2.tif"],
    ["Gewebe_ö2", "Gewebe_o2_mask.png"],
  ])("of %s is %s", (stem, near) => {
    expect(nearName(stem, ["other_99.png", near, "unrelated_mask.png"])).toBe(near);
  });

  test.each([
    ["Bild1", "Bild10_mask.png"],
    ["Bild1", "Bild2_mask.png"],
    ["5", "15.png"],
    ["field_1", "field_2.png"],
    ["cells", "nuclei_mask.png"],
    ["a", "b.png"],
  ])("of %s is not %s", (stem, other) => {
    expect(nearName(stem, [other])).toBeUndefined();
  });

  test("is the nearest of several, and none of two that are as near", () => {
    expect(nearName("Bild1", ["Bild1_mask_final_really.png", "bild1_mask_v2.png"])).toBe("bild1_mask_v2.png");
    expect(nearName("Bild1", ["Bild1_maskA.png", "Bild1_maskB.png"])).toBeUndefined();
  });
});

describe("a data set with near names", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "cellsam-near-"));
    const labels = { data: Int32Array.of(0, 1, 1, 0), shape: [2, 2] as const };
    const files = [
      "i/Bild1.png",
      "i/Bild2.png",
      "i/Bild3.png",
      "m/Bild1_mask_final.png",
      "m/Bild2_mask.png",
      "m/Bild 3_mask.png",
    ];
    for (const file of [...files, "both/Bild1.png", "both/Bild1_mask_final.png", "both/Bild2.png", "both/Bild2_mask.png"])
      await writeLabels(join(folder, file), labels);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test("is told what to rename, and nothing is paired by guessing", async () => {
    const { pairs, problems } = await discover({ imgPath: join(folder, "i"), maskPath: join(folder, "m") });
    expect(pairs.map(({ source }) => source)).toEqual(["Bild2"]);
    expect(problems.filter(({ code }) => code === "ERR_NO_MASK")).toMatchObject([
      { message: "has no mask; is Bild1_mask_final.png meant?", fix: "rename it to Bild1_mask.png" },
      { message: "has no mask; is Bild 3_mask.png meant?", fix: "rename it to Bild3_mask.png" },
    ]);
  });

  test("also where images and masks are in one folder", async () => {
    const { problems } = await discover({ imgPath: join(folder, "both"), maskPath: join(folder, "both") });
    expect(problems.map(({ message }) => message).join()).toContain("is Bild1_mask_final.png meant?");
  });
});
