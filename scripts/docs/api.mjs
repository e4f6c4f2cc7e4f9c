/**
 * Makes docs/api.md and docs/api-python.md of the declarations of the public names: by area, each name once with its docstring and its
 * signature. Not by typedoc, which needs a TypeScript older than ours and spells out every inherited and inferred type (315 KB).
 */
import { relative } from "node:path";
import { root } from "../ready.mjs";
import { publicNames } from "./declarations.mjs";

/** @import { Declaration } from "./declarations.mjs" */

/** @typedef {[area: string, declarations: Declaration[]]} Area */

const python = "The Python module's classes";

/** The text of docs/api.md. */
export function api() {
  const areas = [...publicNames()].filter(([area]) => area !== python);
  return `# API

Made from the declarations of the sources (\`npm run docs\`). Shapes stand in brackets; a default in a comment is what an absent option means. Errors are
\`CellsamError\`s; [error codes](errors.md) says when each is thrown. Settings are in [configuration](configuration.md), here in camelCase. What exists for
programs that come from the Python module is in [the Python module's classes](api-python.md).

${areas.map(contents).join("\n")}

${areas.map(section).join("\n")}`;
}

/** The text of docs/api-python.md. */
export function pythonApi() {
  const areas = [...publicNames()].filter(([area]) => area === python);
  return `# The Python module's classes

Made from the declarations of the sources (\`npm run docs\`). These public names exist for programs that come from the Python module, whose names they have;
[migration](migration.md) goes through it. Everything else is in the [API](api.md).

${areas.map(section).join("\n")}`;
}

/** @param {Area} area */
function contents([area, declarations]) {
  return `- **${area}**: ${values(declarations)
    .map(({ name }) => `[${name}](#${name.toLowerCase()})`)
    .join(", ")}`;
}

/** @param {Area} area */
function section([area, declarations]) {
  return `## ${area}\n\n${[...values(declarations).map(entry), types(area, declarations)].join("\n")}`;
}

/** @param {Declaration[]} declarations */
function values(declarations) {
  return declarations.filter(({ type }) => !type);
}

/**
 * Heading, docstring and signature of a value.
 * @param {Declaration} declaration
 */
function entry(declaration) {
  const text = [prose(declaration.comment), `\`\`\`ts\n${signature(declaration)}\n\`\`\``].filter(Boolean);
  return `### ${declaration.name}\n\n${text.join("\n\n")}\n`;
}

/**
 * The types of an area, each under its docstring.
 * @param {string} area
 * @param {Declaration[]} declarations
 */
function types(area, declarations) {
  const classes = new Set(values(declarations).map(({ name }) => name));
  const shown = declarations
    .filter(({ type, name }) => type && !classes.has(name))
    .map((declaration) => [comment(declaration.comment), signature(declaration)].filter(Boolean).join("\n"));
  return shown.length === 0 ? "" : `### Types: ${area}\n\n\`\`\`ts\n${shown.join("\n\n")}\n\`\`\`\n`;
}

/** @param {string} text */
function comment(text) {
  const lines = text.split("\n");
  if (!text) return "";
  return lines.length === 1 ? `/** ${text} */` : `/**\n${lines.map((line) => ` * ${line}`).join("\n")}\n */`;
}

/**
 * What is shown of a name. Of settings that is how they are made: the settings themselves stand in docs/configuration.md.
 * @param {Declaration} declaration
 */
function signature(declaration) {
  const { name, type, text } = declaration;
  if (!settings(declaration)) return tidy(text);
  if (type) return `type ${name}`;
  // The methods besides ConfigMethods are the last part of the class's type.
  const methods = /ConfigMethods & \{\n(.*)\n\};?$/s.exec(text)?.[1] ?? "";
  const input = name === "HyperparameterSpace" ? "SpaceInput" : name.replace("Config", "Input");
  return tidy(`class ${name} implements ConfigMethods {\n    constructor(input?: ${input});\n${methods && `${methods}\n`}}`);
}

/** @param {Declaration} declaration */
function settings({ file, text, name }) {
  if (name === "ErrorCode") return true;
  return (
    relative(root, file).startsWith("dist/config") &&
    (/= z\.(in|out)put</.test(text) || /ConfigMethods/.test(text)) &&
    !text.startsWith("interface")
  );
}

/**
 * A declaration as it is read: without what only the class itself, or one derived from it, may use.
 * @param {string} text
 */
function tidy(text) {
  return text
    .replace(/^declare (?=class|function|const)/, "")
    .replace(/^ {4}(\/\*\*((?!\*\/).)*\*\/\s*)?(#private|private |protected )[^\n]*;\n/gms, "")
    .replace(/import\("[^"]*"\)\./g, "")
    .replace(/extends \w+_base \{\n\}/, "implements Strategy, ResultMethods")
    .replace(/\{ [\w ,.]+ \}(\??: \w)/g, "options$1") // parameters that are taken apart
    .replace(/(?<=[:|&=] )\{\n((?: +[^\n{}/]+;\n)+) *\}/g, (lines, members) => oneLine(members) ?? lines)
    .replace(/^( {4})+/gm, (spaces) => " ".repeat(spaces.length / 2));
}

/**
 * The members of an object's type in one line, unless they are too many.
 * @param {string} members
 */
function oneLine(members) {
  const line = `{ ${members.trim().replace(/;\n +/g, "; ").replace(/;$/, "")} }`;
  return line.length <= 100 ? line : undefined;
}

/**
 * A docstring as one paragraph.
 * @param {string} comment
 */
function prose(comment) {
  return comment
    .split(/\s+(?=@(?:param|returns|throws) )/)
    .map((part) =>
      part
        .replace(/\s*\n\s*/g, " ")
        .replace(/^@throws (CellsamError )?/, "Throws ")
        .replace(/^@returns /, "Returns ")
        .replace(/^@param (\S+)/, "`$1`"),
    )
    .map((part) => (/[.;]$/.test(part) || !part ? part : `${part}.`))
    .join(" ");
}
