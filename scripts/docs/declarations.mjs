/** Finds the declarations of the package's public names: lib/index.ts says which there are and in which area, the .d.ts files of dist/ what they are. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseAst } from "rolldown/parseAst";
import { root } from "../ready.mjs";

/**
 * A declaration, or an export of names that another module declares.
 * @typedef {import("@oxc-project/types").Program["body"][number]} Statement
 */
/**
 * `comment`: the JSDoc in front, without its stars; "" where there is none. `type`: only in the type system, not a value.
 * @typedef {{ name: string, file: string, text: string, comment: string, type: boolean }} Declaration
 */

/** The areas of lib/index.ts in their order, each with the declarations of its names; a class of settings is a value and a type. */
export function publicNames() {
  const index = join(root, "lib", "index.ts");
  const text = readFileSync(index, "utf8");
  /** @type {Map<string, Declaration[]>} */
  const areas = new Map();
  for (const node of parseAst(text, { lang: "ts" }).body) {
    const area = [...text.slice(0, node.start).matchAll(/^\/\/ (.+)$/gm)].at(-1)?.[1] ?? "Other";
    const declared = exportsOf(node, join(root, "dist", "index.d.ts"));
    areas.set(area, [...(areas.get(area) ?? []), ...declared]);
  }
  return areas;
}

/**
 * What one statement of a module exports.
 * @param {Statement} node
 * @param {string} file
 * @returns {Declaration[]}
 */
function exportsOf(node, file) {
  if (node.type === "ExportAllDeclaration") return declarationsOf(beside(file, node.source.value));
  if (node.type !== "ExportNamedDeclaration") return [];
  if (!node.source) return [];
  const known = declarationsOf(beside(file, node.source.value));
  return node.specifiers.flatMap(({ exported }) => {
    const name = "name" in exported ? exported.name : exported.value;
    const found = known.filter((declaration) => declaration.name === name);
    if (found.length === 0) throw new Error(`${file} exports ${name}, which ${node.source?.value} does not declare`);
    return found;
  });
}

/**
 * All that a module declares and exports, and what it exports of others.
 * @param {string} file
 * @returns {Declaration[]}
 */
function declarationsOf(file) {
  const text = readFileSync(file, "utf8");
  return parseAst(text, { lang: "dts" }).body.flatMap((node) => {
    if (node.type !== "ExportNamedDeclaration" || !node.declaration) return exportsOf(node, file);
    const { declaration } = node;
    const id = declaration.type === "VariableDeclaration" ? declaration.declarations[0]?.id : declaration.id;
    if (id?.type !== "Identifier") return [];
    const comment = /\/\*\*((?:(?!\*\/).)*)\*\/\s*$/s.exec(text.slice(0, node.start))?.[1] ?? "";
    const type = declaration.type === "TSInterfaceDeclaration" || declaration.type === "TSTypeAliasDeclaration";
    return [{ name: id.name, file, text: text.slice(declaration.start, declaration.end), comment: plain(comment), type }];
  });
}

/**
 * The .d.ts file of a module that another one names.
 * @param {string} file
 * @param {string} path
 */
function beside(file, path) {
  return join(dirname(file), path.replace(/\.js$/, ".d.ts"));
}

/** @param {string} comment */
function plain(comment) {
  return comment.replace(/^\s*\* ?/gm, "").trim();
}
