/** Every type that a public signature names is public too: a program can declare variables of it. */
import { parseAst } from "rolldown/parseAst";
import { describe, expect, it } from "vitest";
import { publicNames } from "../../scripts/docs/declarations.mjs";

/** Types of the language and of Node. */
const known = new Set(
  `Array ArrayLike AsyncDisposable AsyncGenerator AsyncIterable Awaited Buffer Disposable Error Exclude Extract Float32Array
  Float64Array Int32Array Iterable Map NonNullable Omit Parameters Partial Pick Promise Readonly ReadonlyArray ReadonlyMap
  ReadonlySet Record Required ReturnType Set Uint8Array Uint16Array AbortSignal NodeJS const`.split(/\s+/),
);

/** Types that are computed of the tables in lib/settings/: what is made of them has a public name, and the settings their document. */
const computed = new Set(["SettingValues", "OwnSettings", "MaskLossSettings"]);

interface Node {
  type: string;
  [key: string]: unknown;
}

/** The names of types that a declaration uses, without its own type parameters and what only the class itself may use. */
function typesIn(text: string): string[] {
  const used = new Set<string>();
  const own = new Set<string>();
  const walk = (value: unknown): void => {
    if (Array.isArray(value)) {
      value.forEach(walk);
      return;
    }
    if (typeof value !== "object" || value === null) return;
    const node = value as Node;
    if (node.accessibility === "private" || node.accessibility === "protected") return;
    const name = (node.typeName ?? node.expression) as Node | undefined;
    if ((node.type === "TSTypeReference" || node.type === "TSInterfaceHeritage" || node.type === "TSClassImplements") && name)
      used.add(String(name.name ?? ((name.left ?? {}) as Node).name));
    if (node.type === "TSTypeParameter") own.add(String((node.name as Node).name ?? node.name));
    if (node.type === "TSMappedType") own.add(String((node.key as Node)?.name));
    for (const entry of Object.values(node)) walk(entry);
  };
  walk(parseAst(text, { lang: "dts" }).body);
  return [...used].filter((name) => !own.has(name) && name !== "undefined");
}

/** Public names of types, and for each public name the types that it uses and no one can name. */
function hidden(): string[] {
  const declarations = [...publicNames().values()].flat();
  const exported = new Set(declarations.map(({ name }) => name));
  return declarations.flatMap(({ name, text, file }) => {
    // Settings are made of their schemas; docs/configuration.md has them.
    if (/= z\.(in|out)put</.test(text)) return [];
    const found = typesIn(`export ${text.startsWith("declare") ? "" : "declare "}${text}`);
    return found
      .filter((type) => !known.has(type) && !computed.has(type) && !exported.has(type))
      .map((type) => `${name} names ${type} (${file})`);
  });
}

describe("public signatures", () => {
  it("name only public types", () => {
    expect(hidden()).toEqual([]);
  });

  it("would be caught at a hidden one", () => {
    expect(typesIn("export declare function f<T>(a: Hidden<T>, b?: Record<string, T>): Promise<Other[]>;").sort()).toEqual([
      "Hidden",
      "Other",
      "Promise",
      "Record",
    ]);
  });
});
