/**
 * Hands the settings of lib/settings/ to the C++ build: build/generated/settings/GROUP.h, with a constant for each setting of a group
 * (native/base/setting.h). A header is written again only when it changes, so that nothing else makes the native build start over.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** @typedef {import("../lib/settings/kinds.js").Setting} Setting */

/** @param {string} root of the checkout, with the compiled package in dist/ */
export async function writeSettings(root) {
  /** @param {string} path */
  const load = (path) => import(pathToFileURL(join(root, "dist", path)).href);
  const { groups } = await load("settings/groups.js");
  const { expected } = await load("settings/kinds.js");
  const { snakeCase } = await load("spelling.js");
  const folder = join(root, "build", "generated", "settings");
  mkdirSync(folder, { recursive: true });
  const files = new Map(
    Object.entries(/** @type {Record<string, Record<string, Setting>>} */ (groups)).map(([group, settings]) => {
      const rows = Object.entries(settings).map(([name, setting]) => constant(snakeCase(name), setting, expected(setting)));
      return [`${snakeCase(group)}.h`, header(snakeCase(group), rows)];
    }),
  );
  for (const name of readdirSync(folder)) if (!files.has(name)) rmSync(join(folder, name));
  for (const [name, text] of files) {
    const file = join(folder, name);
    if (!existsSync(file) || readFileSync(file, "utf8") !== text) writeFileSync(file, text);
  }
}

/**
 * @param {string} group
 * @param {string[]} rows
 */
function header(group, rows) {
  return `// Made from lib/settings/ by scripts/settings.mjs.
#pragma once

#include "base/setting.h"

namespace cellsam::setting::${group} {

${rows.join("\n")}

}  // namespace cellsam::setting::${group}
`;
}

const types = { boolean: "Flag", number: "Number", integer: "Integer" };

/**
 * @param {string} name
 * @param {Setting} setting
 * @param {string} expected what a value must be, in words
 */
function constant(name, setting, expected) {
  const kind = "choices" in setting ? "Choice" : types[setting.type];
  const limits = "choices" in setting ? setting.choices.join("|") : range(setting);
  const values = [name, expected, ...(kind === "Flag" ? [] : [limits])].map((value) => literal(value));
  if (setting.default === null) return `inline constexpr Optional<${kind}> ${name}{{${values.join(", ")}}};`;
  return `inline constexpr ${kind} ${name}{${values.join(", ")}, ${literal(setting.default)}};`;
}

/**
 * The fields of Range that are not as everywhere.
 * @param {Setting} setting
 */
function range(setting) {
  const { minimum, exclusiveMinimum, maximum, exclusiveMaximum, orZero } = /** @type {Record<string, unknown>} */ (
    /** @type {unknown} */ (setting)
  );
  const given = { minimum, exclusive_minimum: exclusiveMinimum, maximum, exclusive_maximum: exclusiveMaximum, or_zero: orZero };
  const fields = Object.entries(given).filter(([, value]) => value !== undefined);
  return { code: `Range{${fields.map(([name, value]) => `.${name} = ${value}`).join(", ")}}` };
}

/** @param {unknown} value */
function literal(value) {
  if (typeof value === "object") return /** @type {{ code: string }} */ (value).code;
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
