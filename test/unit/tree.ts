/** A checkout in miniature, on which the rules of `npm run check` are tried. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll } from "vitest";

export type Rule = (root: string, files: string[]) => string[];

/** A folder that lasts for one test file, and a function that writes files into it and returns the problems that `rule` finds among them. */
export function checkedTree(rule: Rule): { root: string; problems(files: Record<string, string>): string[] } {
  const root = mkdtempSync(join(tmpdir(), "cellsam-tree-"));
  afterAll(() => rmSync(root, { recursive: true }));
  const problems = (files: Record<string, string>) => {
    for (const [file, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, file)), { recursive: true });
      writeFileSync(join(root, file), text);
    }
    return rule(root, Object.keys(files));
  };
  return { root, problems };
}
