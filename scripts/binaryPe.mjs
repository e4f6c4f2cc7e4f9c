/** Reads the properties of a Windows binary with llvm-readobj, on any system. */
import { read } from "./binaryTool.mjs";

/** @type {Record<string, string>} */
const machines = { IMAGE_FILE_MACHINE_AMD64: "x64", IMAGE_FILE_MACHINE_ARM64: "arm64" };

/**
 * @param {string} path
 * @returns {import("./binaryTool.mjs").Binary}
 */
export function readPe(path) {
  const flags = ["--file-headers", "--sections", "--coff-imports", "--coff-exports", "--coff-debug-directory"];
  const text = read("llvm-readobj", "llvm", [...flags, path]);
  /** @param {string} block */
  const names = (block) =>
    [...text.matchAll(new RegExp(`^${block} \\{[^}]*?^  Name: (.+)$`, "gm"))].map(([, name = ""]) => name);
  const machine = /^ {2}Machine: (\w+)/m.exec(text)?.[1] ?? "";
  const symbols = [...text.matchAll(/^PDBFileName|^ +PDBFileName: (.+)$/gm)].map(([, file = ""]) => file);
  return {
    machine: machines[machine] ?? machine,
    needed: names("Import"),
    late: names("DelayImport"),
    // The linker records the path of the debug information, which is not in the binary itself.
    paths: symbols,
    exported: names("Export").filter(Boolean),
    debug: /^ +Name: \.debug_/m.test(text),
    needs: {},
  };
}
