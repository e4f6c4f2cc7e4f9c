// docs/math.md names functions and equations. A renamed one must be renamed there too, or the derivations can no longer be
// followed line by line. (scripts/check/paths.mjs checks the names of files.)
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));
const files = execFileSync("git", ["ls-files", "-co", "--exclude-standard"], { cwd: root, encoding: "utf8" }).split("\n");
const native = files.filter((file) => /^native\/.*\.(cc|h|cu)$/.test(file));

const math = readFileSync(`${root}docs/math.md`, "utf8");
const text = math.replace(/```[\s\S]*?```/g, "").replace(/\$`[^`]*`\$/g, "");
/** What stands in backticks, formulas left out. */
const spans = [...new Set([...text.matchAll(/`([^`]+)`/g)].map(([, span = ""]) => span))];

const isPath = (span: string) => /^[\w-]+\/[\w/.*-]*$|^[\w*]+\.(cc|h|cu|ts|mjs|\*)$/.test(span);

test("the functions, types and options that math.md names stand in native/", () => {
  const sources = native.map((file) => readFileSync(root + file, "utf8")).join("\n");
  const known = new Set(sources.match(/\w+/g));
  const words = spans.filter((span) => !isPath(span));
  expect(words.length).toBeGreaterThan(60);
  const parts = words.map((span) => span.replace(/:.\w+$/, "")).flatMap((span) => span.split("::"));
  expect(parts.filter((part) => !known.has(part))).toEqual([]);
});

test("every equation that math.md refers to is there, numbered in order", () => {
  const tags = [...math.matchAll(/\\tag\{(\d+)\.(\d+)\}/g)].map(([, a, b]) => [Number(a), Number(b)]);
  tags.forEach(([section, number], i) => {
    const [before, last] = tags[i - 1] ?? [0, 0];
    expect([section, number]).toEqual(section === before ? [before, (last ?? 0) + 1] : [section, 1]);
  });
  const known = new Set(tags.map((tag) => tag.join(".")));
  const references = [...text.matchAll(/\((\d\.\d+)\)/g)].map(([, reference = ""]) => reference);
  expect(references.length).toBeGreaterThan(30);
  expect(references.filter((reference) => !known.has(reference))).toEqual([]);
});
