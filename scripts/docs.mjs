/**
 * `npm run docs`: writes the two documents that are made from the sources, docs/configuration.md from the configuration's
 * schemas and docs/api.md from the declarations. `npm run docs -- --check` fails when one of them is not what would be written.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { root, run } from "./ready.mjs";

const { values: options } = parseArgs({ options: { check: { type: "boolean" } } });
const { configSchema } = await import("../dist/config/jsonSchema.js");

const stale = [];
emit("docs/configuration.md", configuration());
emit("docs/api.md", api());
if (stale.length > 0) {
  console.error(`${stale.join(", ")}: not what the sources say; run \`npm run docs\``);
  process.exit(1);
}

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

function configuration() {
  const experiment = configSchema("experiment");
  const space = configSchema("space");
  return `# Configuration

Made from the schemas that check a configuration (\`npm run docs\`). Files are YAML or JSON with the names below; in TypeScript they are written in
camelCase. An unknown name is an error that names the nearest known one. \`cellsam init\` writes a commented file to start from.

## An experiment

${tables(experiment)}
## The space of a search

A list of values for each setting that is searched; an unset one keeps the configuration's own value.

${tables(space)}`;
}

/** A table of the plain settings, then one for each group of settings. */
function tables(schema, prefix = "") {
  const groups = [];
  const rows = [];
  for (const [name, given] of Object.entries(schema.properties)) {
    if (name === "$schema" || name === "environment") continue;
    const field = flat(given);
    if (field.properties) groups.push([`${prefix}${name}`, field]);
    else rows.push(`| \`${name}\` | ${kind(field)} | ${value(field.default)} | ${cell(field.description ?? "")} |`);
  }
  const table = ["| setting | values | default | |", "|---|---|---|---|", ...rows, ""].join("\n");
  const sections = groups.map(
    ([name, field]) => `### \`${name}\`\n\n${field.description ?? ""}\n\n${tables(field, `${name}.`)}`,
  );
  return [table, ...sections].join("\n");
}

/** One schema of a choice between a thing and nothing. */
function flat(field) {
  const others = field.anyOf?.filter(({ type }) => type !== "null");
  if (others?.length === 1) return { ...others[0], ...field, nullable: true };
  return Array.isArray(field.type) ? { ...field, type: field.type.find((type) => type !== "null"), nullable: true } : field;
}

function kind(field) {
  if (field.enum) return field.enum.map((entry) => `\`${entry}\``).join(", ");
  if (field.anyOf && !field.nullable) return field.anyOf.map((choice) => kind(flat(choice))).join(" or ");
  if (field.const !== undefined) return `\`${field.const}\``;
  if (field.type === "array") return `list of ${field.items ? kind(flat(field.items)) : "values"}`;
  const least = field.minimum ?? field.exclusiveMinimum;
  const most = field.maximum ?? field.exclusiveMaximum;
  const bounded = Math.abs(least ?? 0) < 1e15 && (least ?? 0) > -9e15;
  const range = [
    least !== undefined && bounded ? `${field.exclusiveMinimum === undefined ? "≥" : ">"} ${least}` : "",
    most !== undefined && most < 9e15 ? `${field.exclusiveMaximum === undefined ? "≤" : "<"} ${most}` : "",
  ].filter(Boolean);
  const type = { boolean: "true, false", string: "text", object: "mapping" }[field.type] ?? field.type ?? "any";
  return [type, ...range].join(" ");
}

function value(given) {
  return given === undefined ? "" : given === null ? "none" : `\`${JSON.stringify(given)}\``;
}

function cell(text) {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}
