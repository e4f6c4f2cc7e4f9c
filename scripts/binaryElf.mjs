/** Reads the properties of a Linux binary with readelf. */
import { read, sorted } from "./binaryTool.mjs";

/** @type {Record<string, string>} */
const machines = { "Advanced Micro Devices X86-64": "x64", AArch64: "arm64" };

/**
 * @param {string} path
 * @returns {import("./binaryTool.mjs").Binary}
 */
export function readElf(path) {
  /** @param {string[]} args */
  const readelf = (...args) => read("readelf", "binutils", [...args, "-W", path]);
  const machine = /Machine:\s+(.+)/.exec(readelf("-h"))?.[1]?.trim() ?? "";
  const dynamic = readelf("-d");
  /** @param {string} tag */
  const entries = (tag) =>
    [...dynamic.matchAll(new RegExp(`\\((?:${tag})\\).*\\[(.*)\\]`, "g"))].map(([, value = ""]) => value);
  // Columns: number, value, size, type, bind, visibility, section, name.
  const symbols = [...readelf("--dyn-syms").matchAll(/^ *\d+: \w+ +\w+ \w+ +(\w+) +\w+ +(\w+) (\S+)/gm)];
  /** @type {Record<string, string | undefined>} */
  const needs = {};
  for (const [, library = "", version = ""] of readelf("-V").matchAll(/Name: (\w+?)_(\d[\d.]*)\s/g)) {
    needs[library] = sorted([version, needs[library] ?? "0"]).at(-1);
  }
  return {
    machine: machines[machine] ?? machine,
    needed: entries("NEEDED"),
    late: [],
    paths: entries("RPATH|RUNPATH"),
    // Templates and inline functions of C++ leave weak and unique symbols, which are not part of the interface.
    exported: symbols
      .filter(([, bind, section]) => bind === "GLOBAL" && section !== "UND")
      .map(([, , , name = ""]) => name.replace(/@.*/, ""))
      .filter((name) => !/^(_edata|_end|__bss_start|_init|_fini)$/.test(name)),
    debug: /\.(symtab|debug_info)\b/.test(readelf("-S")),
    needs, // by the prefix of a library's symbols: { GLIBC: "2.28", GLIBCXX: "3.4.22", ... }
  };
}
