/** For `npm run check`: lib/errors.ts lists every error code that lib/, native/ and the documents name, and no other. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

const list = "lib/errors.ts";
const object = /^export const errorCodes = \{\n(.*?)^\} as const;$/ms;

/**
 * The listed codes in their order, each with the heading above it and when it is thrown.
 * @param {string} root
 */
export function listedCodes(root) {
  const text = readFileSync(join(root, list), "utf8");
  const [, body = ""] = object.exec(text) ?? [];
  let section = "";
  /** @type {{ section: string, code: string, meaning: string }[]} */
  const codes = [];
  for (const line of body.split("\n")) {
    section = /^ {2}\/\/ (.+)$/.exec(line)?.[1] ?? section;
    const [, code] = /^ {2}(ERR_\w+):/.exec(line) ?? [];
    if (code) codes.push({ section, code, meaning: "" });
    const last = codes.at(-1);
    if (last) last.meaning ||= /"(.*)",$/.exec(line)?.[1] ?? "";
  }
  return codes;
}

/**
 * One problem for each code that is named and not listed, or listed and thrown nowhere.
 * @param {string} root
 * @param {string[]} files relative to `root`
 */
export function errorCodeProblems(root, files) {
  const listed = new Set(listedCodes(root).map(({ code }) => code));
  const thrown = new Set();
  const problems = [];
  for (const file of files) {
    if (!/^(lib\/.*\.ts|native\/.*\.(cc|h|cu)|docs\/.*\.md|README\.md)$/.test(file)) continue;
    const text = readFileSync(join(root, file), "utf8").replace(object, "");
    const named = new Set([...text.matchAll(/\bERR_[A-Z0-9_]*[A-Z0-9]\b/g)].map(([code]) => code));
    for (const code of named) if (!listed.has(code)) problems.push(`${file}: ${code} is not listed in ${list}`);
    if (/^(lib|native)\//.test(file)) for (const [, code] of text.matchAll(/"(ERR_\w+)"/g)) thrown.add(code);
  }
  for (const code of listed) if (!thrown.has(code)) problems.push(`${list}: ${code} is thrown nowhere`);
  return problems;
}
