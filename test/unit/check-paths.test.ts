// What `npm run check` finds of names in documents and comments that no file has.
import { describe, expect, it } from "vitest";
import { pathProblems } from "../../scripts/check/paths.mjs";
import { checkedTree } from "./tree.js";

const { problems } = checkedTree(pathProblems);
const tree = { "native/ops/a.h": "", "native/ops/a.cc": "", "test/unit/b.test.ts": "", "docs/c.md": "", "lib/d.ts": "" };

describe("names of files", () => {
  it.each([
    ["from the root", "README.md", "See `lib/d.ts`."],
    ["of a room of the engine", "docs/e.md", "See `ops/a.h`, `ops/a.*`."],
    ["of a test", "docs/e.md", "See `unit/b.test.ts`."],
    [
      "in links",
      "docs/e.md",
      "See [c](c.md#part), [b](../test/unit/b.test.ts), [tests](../test/), [far](https://example.org/x.md).",
    ],
    ["of what a user has", "README.md", "See `output/first/results/report.html`, `data/images`."],
    ["in comments", "native/ops/f.cc", "// lib/d.ts says which.\n#include <ops/none.h>"],
  ])("are in order %s", (_, file, text) => {
    expect(problems({ ...tree, [file]: text })).toEqual([]);
  });

  it.each([
    ["from the root", "README.md", "See `lib/x.ts`.", "lib/x.ts"],
    ["of a room of the engine", "docs/e.md", "See `ops/b.*`.", "ops/b.*"],
    ["in links", "docs/e.md", "See [x](x.md#part).", "docs/x.md"],
    ["in comments", "native/ops/f.cc", "// lib/x.ts says which.", "lib/x.ts"],
    ["in comments of scripts", "scripts/g.mjs", "/** As docs/x.md says. */", "docs/x.md"],
  ])("that no file has are found %s", (_, file, text, missing) => {
    expect(problems({ ...tree, [file]: text })).toEqual([`${file}: names ${missing}, which is not there`]);
  });
});
