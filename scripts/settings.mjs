/**
 * Writes the settings of lib/settings/ for the C++ build: build/generated/settings/GROUP.h, with a constant for each setting of
 * a group (native/base/setting.h). A header is written only when it changes, so that the native build compiles nothing for
 * other changes.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** @typedef {import("../lib/settings/kinds.js").Setting} Setting */

/** @param {string} root of the checkout, with the compiled package in dist/ */
export async function writeSettings(root) {
  const load = (/** @type {string} */ path) => import(pathToFileURL(join(root, "dist", path)).href);
  /** @type {{ groups: Record<string, Record<string, Setting>> }} */
  const { groups } = await load("settings/groups.js");
  const { expected } = await load("settings/kinds.js");
  const { snakeCase } = await load("spelling.js");
  const folder = join(root, "build", "generated", "settings");
  mkdirSync(folder, { recursive: true });
  const files = new Map(
    Object.entries(groups).map(([group, settings]) => {
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

/**
 * @param {string} name
 * @param {Setting} setting
 * @param {string} expected
 */
function constant(name, setting, expected) {
  const head = [JSON.stringify(name), JSON.stringify(expected)];
  if ("choices" in setting) return declaration("Choice", name, [...head, JSON.stringify(setting.choices.join("|"))], setting);
  if (setting.type === "boolean") return declaration("Flag", name, head, setting);
  return declaration(setting.type === "integer" ? "Integer" : "Number", name, [...head, range(setting)], setting);
}

/**
 * @param {string} kind
 * @param {string} name
 * @param {string[]} fields all but the default
 * @param {Setting} setting
 */
function declaration(kind, name, fields, setting) {
  if (setting.default === null) return `inline constexpr Optional<${kind}> ${name}{{${fields.join(", ")}}};`;
  return `inline constexpr ${kind} ${name}{${[...fields, JSON.stringify(setting.default)].join(", ")}};`;
}

/**
 * The initialiser of a Range, of the fields that are set.
 * @param {import("../lib/settings/kinds.js").Range} range
 */
function range({ minimum, exclusiveMinimum, maximum, exclusiveMaximum, orZero }) {
  const given = { minimum, exclusive_minimum: exclusiveMinimum, maximum, exclusive_maximum: exclusiveMaximum, or_zero: orZero };
  const fields = Object.entries(given).filter(([, value]) => value !== undefined);
  return `Range{${fields.map(([name, value]) => `.${name} = ${value}`).join(", ")}}`;
}
