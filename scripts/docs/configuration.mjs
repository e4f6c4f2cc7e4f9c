/** Makes docs/configuration.md of the schemas that check a configuration. */
import { configSchema } from "../../dist/config/jsonSchema.js";

/**
 * A setting of the JSON Schema, or a group of them.
 * @typedef {{
 *   type?: string,
 *   description?: string,
 *   default?: unknown,
 *   const?: unknown,
 *   enum?: unknown[],
 *   anyOf?: Field[],
 *   items?: Field,
 *   properties?: Record<string, Field>,
 *   minimum?: number,
 *   maximum?: number,
 *   exclusiveMinimum?: number,
 *   exclusiveMaximum?: number,
 *   nullable?: boolean,
 * }} Field
 */

/** The text of docs/configuration.md. */
export function configuration() {
  const experiment = /** @type {Field} */ (configSchema("experiment"));
  const space = /** @type {Field} */ (configSchema("space"));
  return `# Configuration

Made from the schemas that check a configuration (\`npm run docs\`). Files are YAML or JSON with the names below; in TypeScript they are written in
camelCase. An unknown name is an error that names the nearest known one. \`cellsam init\` writes a commented file to start from.

## An experiment

${tables(experiment)}
## The space of a search

A list of values for each setting that is searched; an unset one keeps the configuration's own value.

${tables(space)}`;
}

/**
 * A table of the plain settings, then one for each group of settings.
 * @param {Field} schema
 * @returns {string}
 */
function tables(schema, prefix = "") {
  /** @type {[name: string, group: Field][]} */
  const groups = [];
  const rows = [];
  for (const [name, given] of Object.entries(schema.properties ?? {})) {
    if (name === "$schema" || name === "environment") continue;
    const field = flat(given);
    if (field.properties) groups.push([`${prefix}${name}`, field]);
    else rows.push(`| \`${name}\` | ${kind(field)} | ${value(field.default)} | ${inCell(field.description ?? "")} |`);
  }
  const table = ["| setting | values | default | |", "|---|---|---|---|", ...rows, ""].join("\n");
  const sections = groups.map(
    ([name, field]) => `### \`${name}\`\n\n${field.description ?? ""}\n\n${tables(field, `${name}.`)}`,
  );
  return [table, ...sections].join("\n");
}

/**
 * One schema of a choice between a thing and nothing.
 * @param {Field} field
 * @returns {Field}
 */
function flat(field) {
  const others = field.anyOf?.filter(({ type }) => type !== "null");
  return others?.length === 1 ? { ...others[0], ...field, nullable: true } : field;
}

/**
 * The values that a field may have, in words.
 * @param {Field} field
 * @returns {string}
 */
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
  /** @type {Record<string, string>} */
  const words = { boolean: "true, false", string: "text", object: "mapping" };
  const type = words[field.type ?? ""] ?? field.type ?? "any";
  return [type, ...range].join(" ");
}

/** @param {unknown} given */
function value(given) {
  return given === undefined ? "" : given === null ? "none" : `\`${JSON.stringify(given)}\``;
}

/** @param {string} text */
function inCell(text) {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}
