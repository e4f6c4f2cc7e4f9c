/**
 * `npm run docs`: writes the documents that are made from the sources: docs/configuration.md from the configuration's
 * schemas, docs/errors.md from the list of codes, docs/api.md from the declarations. `npm run docs -- --check` fails when one of them is not what would be written.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { configuration } from "./docs/configuration.mjs";
import { errors } from "./docs/errors.mjs";
import { root, run } from "./ready.mjs";

const { values: options } = parseArgs({ options: { check: { type: "boolean" } } });

/** @type {string[]} */
const stale = [];
emit("docs/configuration.md", configuration());
emit("docs/errors.md", errors());
emit("docs/api.md", api());
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

/** typedoc needs a TypeScript older than the one that builds the package, so both are fetched for the one call. */
function api() {
  const folder = mkdtempSync(join(tmpdir(), "cellsam-docs-"));
  const packages = ["typedoc@0.28.20", "typedoc-plugin-markdown@4.14.1", "typescript@5.9.3"];
  const flags = {
    plugin: "typedoc-plugin-markdown",
    entryPoints: "lib/index.ts",
    tsconfig: "tsconfig.json",
    out: folder,
    name: "API reference",
    readme: "none",
    outputFileStrategy: "modules",
    sort: "alphabetical",
    parametersFormat: "table",
    interfacePropertiesFormat: "table",
    typeAliasPropertiesFormat: "table",
    enumMembersFormat: "table",
    logLevel: "Error",
  };
  const switches = ["--disableSources", "--hideBreadcrumbs", "--hidePageHeader", "--excludePrivate", "--excludeInternal"];
  try {
    run("npm", [
      "exec",
      "--yes",
      ...packages.map((name) => `--package=${name}`),
      "--",
      "typedoc",
      ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]),
      ...switches,
    ]);
    return readFileSync(join(folder, "README.md"), "utf8");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
