// The list of error codes: what `npm run check` finds when it and the sources differ, and what a code that is not listed does.
import { describe, expect, it } from "vitest";
import { CellsamError, errorCodes, failureOf } from "../../lib/errors.js";
import { errorCodeProblems, listedCodes } from "../../scripts/check/errorCodes.mjs";
import { root as checkout } from "../programs.js";
import { checkedTree } from "./tree.js";

const tree = checkedTree(errorCodeProblems);
const list = 'export const errorCodes = {\n  // Files\n  ERR_A: "A.",\n  // Calls\n  ERR_B:\n    "B.",\n} as const;\n';

/** The problems of a tree with these files and a list of ERR_A and ERR_B. */
const problems = (files: Record<string, string>) => tree.problems({ "lib/errors.ts": list, ...files });

describe("error codes", () => {
  const thrown = { "lib/a.ts": 'throw new CellsamError("ERR_A", "");', "native/b.cc": 'throw Error("ERR_B", "");' };

  it("are in order when every listed one is thrown and every other is listed", () => {
    expect(problems(thrown)).toEqual([]);
    expect(listedCodes(tree.root)).toEqual([
      { section: "Files", code: "ERR_A", meaning: "A." },
      { section: "Calls", code: "ERR_B", meaning: "B." },
    ]);
  });

  it.each([
    ["thrown in TypeScript", "lib/c.ts", 'throw new CellsamError("ERR_C", "");'],
    ["thrown in C++", "native/c.h", 'Error("ERR_C", "");'],
    ["named in a comment", "native/c.cc", "// Throws ERR_C."],
    ["named in a document", "docs/c.md", "`ERR_C`"],
  ])("that are not listed are found: %s", (_, file, text) => {
    expect(problems({ ...thrown, [file]: text })).toEqual([`${file}: ERR_C is not listed in lib/errors.ts`]);
  });

  it("that nobody throws are found, though a comment or a document names them", () => {
    const spoken = { ...thrown, "native/b.cc": "// Throws ERR_B.", "docs/b.md": "`ERR_B`" };
    expect(problems(spoken)).toEqual(["lib/errors.ts: ERR_B is thrown nowhere"]);
  });

  it("are told by prefixes without being codes themselves", () => {
    expect(problems({ ...thrown, "lib/c.ts": 'code.startsWith("ERR_IMAGE_")' })).toEqual([]);
  });

  it("of the package are read whole by the check", () => {
    expect(Object.fromEntries(listedCodes(checkout).map(({ code, meaning }) => [code, meaning]))).toEqual(errorCodes);
  });

  it("do not compile when they are not listed", () => {
    // @ts-expect-error the type check fails here as soon as any text will do
    expect(new CellsamError("ERR_NOT_LISTED", "").code).toBe("ERR_NOT_LISTED");
  });

  it("of a stranger's error are ERR_UNEXPECTED", () => {
    expect(failureOf(new CellsamError("ERR_FILE", "gone"))).toEqual({ code: "ERR_FILE", message: "gone" });
    expect(failureOf(Object.assign(new Error("gone"), { code: "ENOENT" }))).toEqual({
      code: "ERR_UNEXPECTED",
      message: "gone",
      system: "ENOENT",
    });
    expect(failureOf("gone")).toEqual({ code: "ERR_UNEXPECTED", message: "gone" });
  });
});
