import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { Ajv } from "ajv";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { ExperimentConfig } from "../../lib/config/experiment.js";
import { configSchema, schemaNames } from "../../lib/config/jsonSchema.js";
import { presets } from "../../lib/config/presets.js";
import { configTemplate } from "../../lib/config/template.js";
import { strictJson } from "../../lib/files/json.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const validate = new Ajv({ allErrors: true }).compile(configSchema("experiment"));
const required = { img_path: "i", mask_path: "m", output_name: "run" };

/** Every setting of a schema, with its dotted name. */
function fields(schema: Record<string, unknown>, prefix = ""): [name: string, field: Record<string, unknown>][] {
  return Object.entries((schema.properties ?? {}) as Record<string, Record<string, unknown>>).flatMap(([name, field]) => [
    [prefix + name, field] as [string, Record<string, unknown>],
    ...fields(field, `${prefix}${name}.`),
  ]);
}

describe("the JSON Schema", () => {
  test.each(schemaNames)("of %s is the one that is shipped: cellsam schema NAME > schema/NAME.schema.json", async (name) => {
    expect(await readFile(`${root}schema/${name}.schema.json`, "utf8")).toBe(`${strictJson(configSchema(name))}\n`);
  });

  test.each(schemaNames)("of %s describes every setting", (name) => {
    const bare = fields(configSchema(name)).filter(([, field]) => typeof field.description !== "string");
    expect(bare.map(([key]) => key)).toEqual([]);
  });

  test("takes the examples, and what a run writes", async () => {
    for (const file of await readdir(`${root}examples`)) {
      if (!file.endsWith(".yaml")) continue;
      const content = parse(await readFile(`${root}examples/${file}`, "utf8"));
      if (!("img_path" in content)) continue;
      expect(validate(content), JSON.stringify(validate.errors)).toBe(true);
    }
    const written = { ...new ExperimentConfig(required as never).toDict(), environment: { node: "v20" } };
    expect(validate(written), JSON.stringify(validate.errors)).toBe(true);
  });

  test.each([
    [{ ...required, batch_sise: 2 }],
    [{ ...required, batch_size: 0 }],
    [{ ...required, batch_size: 1.5 }],
    [{ ...required, strategy: "kfold" }],
    [{ ...required, stage1_config: { learning_rate: -1 } }],
    [{ ...required, stage2_config: { ohem_fraction: 1.1 } }],
    [{ mask_path: "m", output_name: "run" }],
  ])("%#: refuses what the configuration refuses", (content) => {
    expect(validate(content)).toBe(false);
    expect(() => new ExperimentConfig(content as never)).toThrow();
  });
});

describe("a new configuration file", () => {
  test.each(Object.keys(presets) as (keyof typeof presets)[])(
    "with the preset %s validates and means what it says",
    (preset) => {
      const text = configTemplate({ ...required, ...presets[preset] }, ["A fact."]);
      const content = parse(text);
      expect(validate(content), JSON.stringify(validate.errors)).toBe(true);
      expect(content).toMatchObject(presets[preset]);
      expect(text).toContain("# A fact.");
      expect(() => new ExperimentConfig(content)).not.toThrow();
    },
  );

  test.each([...Object.values(presets), {}])(
    "in short has the usual settings and those that were chosen, and means the same",
    (chosen) => {
      const short = configTemplate({ ...required, ...chosen }, ["A fact."], { short: true });
      const full = configTemplate({ ...required, ...chosen });
      expect(parse(short)).toEqual(parse(full));
      expect(short.split("\n").length).toBeLessThan(full.split("\n").length / 2);
      for (const key of ["strategy", "tile_size", "weights", "device", "total_epochs", "learning_rate"])
        expect(short).toMatch(new RegExp(`^ *(# )?${key}:`, "m"));
      for (const key of ["duplicate_threshold", "feature_dtype", "cutoff2"]) expect(short).not.toContain(key);
      expect(short).toContain("# A fact.");
    },
  );

  test("names every setting, and taking all the # away changes nothing", () => {
    const text = configTemplate(required);
    for (const [name] of fields(configSchema("experiment"))) {
      const key = name.split(".").at(-1) as string;
      if (!["$schema", "environment"].includes(key)) expect(text).toMatch(new RegExp(`^ *(# )?${key}:`, "m"));
    }
    const all = parse(text.replace(/^( *)# (?=[a-z0-9_]+:( |$))/gm, "$1"));
    expect(Object.keys(all).length).toBeGreaterThan(30);
    expect(new ExperimentConfig(all).toDict()).toEqual(new ExperimentConfig(required as never).toDict());
  });
});
