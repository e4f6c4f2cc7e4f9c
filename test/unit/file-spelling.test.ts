import { expect, test, vi } from "vitest";
import { reportError } from "../../lib/cli/exit.js";
import { inFileSpelling } from "../../lib/config/fileSpelling.js";
import { configSchema } from "../../lib/config/jsonSchema.js";
import { presets } from "../../lib/config/presets.js";
import { configTemplate } from "../../lib/config/template.js";
import { CellsamError } from "../../lib/errors.js";

test.each([
  ["tileSize: must be 32 or more", "tile_size: must be 32 or more"],
  [
    "set stage1Config.transferWeights and inference.bboxThreshold=0.3",
    "set stage1_config.transfer_weights and inference.bbox_threshold=0.3",
  ],
  ["imgPath: is missing (img_path in files), must be a path", "img_path: is missing, must be a path"],
  ["unknown key; did you mean tileSize (tile_size in files)?", "unknown key; did you mean tile_size?"],
  [
    "/data/tileSize/a.png and C:\\imgPath stay, as CellSAM, macOS and fooBar do",
    "/data/tileSize/a.png and C:\\imgPath stay, as CellSAM, macOS and fooBar do",
  ],
])("%s", (message, wanted) => {
  expect(inFileSpelling(message)).toBe(wanted);
});

/** Words in camelCase that are no names of settings. */
const others = /\b(cellSAM|macOS)\b/g;

test.each([...Object.values(presets), {}])("a generated configuration has one spelling", (chosen) => {
  const camel = configTemplate(chosen)
    .replaceAll(others, "")
    .match(/(?<![\w/])[a-z]+[A-Z]\w*/g);
  expect(camel).toBeNull();
});

test.each(["experiment", "space"] as const)("the descriptions of the schema for %s have it too", (name) => {
  const { title: _, ...schema } = configSchema(name);
  const texts: string[] = [];
  JSON.stringify(schema, (key, value) => {
    if (key === "description") texts.push(value);
    return value;
  });
  expect(texts.length).toBeGreaterThan(10);
  expect(
    texts
      .join("\n")
      .replaceAll(others, "")
      .match(/(?<![\w/])[a-z]+[A-Z]\w*/g),
  ).toBeNull();
});

test("an error on the command line names settings as files do, and its detail as programs do", () => {
  const stderr = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  try {
    reportError(new CellsamError("ERR_CONFIG", "outputDir: out is no folder"), {});
    expect(stderr.mock.calls.join()).toContain("ERR_CONFIG: output_dir: out is no folder");
  } finally {
    stderr.mockRestore();
  }
});
