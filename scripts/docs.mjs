/**
 * `npm run docs`: writes the documents that are made from the sources: docs/configuration.md from the configuration's
 * schemas, docs/errors.md from the list of codes, docs/api.md and docs/api-python.md from the declarations in dist/.
 * `npm run docs -- --check` fails when one of them is not what would be written.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { api, pythonApi } from "./docs/api.mjs";
import { configuration } from "./docs/configuration.mjs";
import { errors } from "./docs/errors.mjs";
import { root } from "./ready.mjs";

const { values: options } = parseArgs({ options: { check: { type: "boolean" } } });

/** @type {string[]} */
const stale = [];
emit("docs/configuration.md", configuration());
emit("docs/errors.md", errors());
emit("docs/api.md", api());
emit("docs/api-python.md", pythonApi());
if (stale.length > 0) {
  console.error(`${stale.join(", ")}: not what the sources say; run \`npm run docs\``);
  process.exit(1);
}

/**
 * @param {string} file
 * @param {string} text
 */
function emit(file, text) {
  const path = join(root, file);
  if (existsSync(path) && readFileSync(path, "utf8") === text) return;
  if (options.check) stale.push(file);
  else writeFileSync(path, text);
}
