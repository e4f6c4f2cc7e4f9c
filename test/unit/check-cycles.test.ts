// What `npm run check` finds of circles: every kind of import and include, on small trees.
import { describe, expect, it } from "vitest";
import { cycleProblems } from "../../scripts/check/cycles.mjs";
import { checkedTree } from "./tree.js";

const { problems } = checkedTree(cycleProblems);

describe("circles of imports", () => {
  it.each([
    ["a plain import", 'import { b } from "./b.js";'],
    ["a type", 'import type { B } from "./b.js";'],
    ["a re-export", 'export { b } from "./b.js";'],
    ["a dynamic import", 'const late = () => import("./b.js");'],
    ["a type of an import", 'type B = typeof import("./b.js");'],
  ])("are found through %s", (_, line) => {
    const found = problems({ "lib/a.ts": line, "lib/b.ts": 'import type { A } from "./a.js";' });
    expect(found).toEqual(["lib/a.ts: imports itself: lib/a.ts -> lib/b.ts -> lib/a.ts"]);
  });

  it("are found through several rooms, and once", () => {
    const tree = {
      "lib/x/a.ts": 'import "../y/b.js";\nimport "../y/d.js";',
      "lib/y/b.ts": 'import "../z/c.js";',
      "lib/y/d.ts": 'import "./b.js";',
      "lib/z/c.ts": 'import "../x/a.js";',
    };
    expect(problems(tree)).toEqual(["lib/x/a.ts: imports itself: lib/x/a.ts -> lib/y/b.ts -> lib/z/c.ts -> lib/x/a.ts"]);
  });

  it("are not seen in two ways to one file", () => {
    const tree = {
      "lib/a.ts": 'import "./b.js";\nimport "./c.js";',
      "lib/b.ts": 'import "./d.js";',
      "lib/c.ts": 'import "./d.js";',
      "lib/d.ts": 'import fs from "node:fs";',
    };
    expect(problems(tree)).toEqual([]);
  });

  it("are found among includes, from the folder native/ and beside the file", () => {
    const tree = { "native/loss/a.h": '#include "model/b.h"', "native/model/b.h": '  # include "../loss/a.h"' };
    expect(problems(tree)).toEqual(["native/loss/a.h: imports itself: native/loss/a.h -> native/model/b.h -> native/loss/a.h"]);
  });

  it("are found between a header with its source and another one", () => {
    const tree = {
      "native/ops/a.h": "",
      "native/ops/a.cc": '#include "ops/a.h"\n#include "ops/b.h"',
      "native/ops/b.h": '#include "ops/a.h"',
    };
    expect(problems(tree)).toEqual(["native/ops/a: imports itself: native/ops/a -> native/ops/b -> native/ops/a"]);
  });

  it("are not seen where both need a third header", () => {
    const tree = {
      "native/ops/a.h": '#include "ops/shape.h"',
      "native/ops/a.cc": '#include "ops/a.h"\n#include "ops/b.h"',
      "native/ops/b.h": '#include "ops/shape.h"',
      "native/ops/shape.h": "",
    };
    expect(problems(tree)).toEqual([]);
  });
});
