/** Reads the properties of a macOS binary with LLVM's tools, on any system. */
import { read } from "./binaryTool.mjs";

/** @type {Record<string, string>} */
const machines = { X86_64: "x64", ARM64: "arm64" };

/**
 * @param {string} path
 * @returns {import("./binaryTool.mjs").Binary}
 */
export function readMachO(path) {
  const commands = read("llvm-objdump", "llvm", ["--macho", "--private-headers", path]).split(/^Load command \d+\n/m);
  const machine = /^MH_MAGIC_64 +(\w+)/m.exec(commands[0] ?? "")?.[1] ?? "";
  /** @type {(kind: RegExp, name: string) => string[]} */
  const field = (kind, name) =>
    commands
      .filter((command) => kind.test(command))
      .map((command) => new RegExp(`^ *${name} (.+?)(?: \\(offset \\d+\\))?$`, "m").exec(command)?.[1] ?? "");
  const symbols = read("llvm-nm", "llvm", ["-m", "-a", path]);
  return {
    machine: machines[machine] ?? machine,
    needed: field(/cmd LC_(LOAD|LOAD_WEAK|REEXPORT|LAZY_LOAD)_DYLIB$/m, "name"),
    late: [],
    paths: field(/cmd LC_RPATH$/m, "path"),
    // Names have an underscore in front. A weak one is what templates and inline functions of C++ leave.
    exported: [...symbols.matchAll(/^[\da-f]+ \([^)]+\) external _(\S+)/gm)].map(([, name = ""]) => name),
    // Stabs, the names of object files in place of the debug information in them, belong to no section.
    debug: /^[\da-f]+ \(\?\)|^[\da-f]+ - /m.test(symbols) || commands.some((command) => /segname __DWARF$/m.test(command)),
    signed: commands.some((command) => /cmd LC_CODE_SIGNATURE$/m.test(command)),
    needs: { macOS: field(/cmd LC_(BUILD_VERSION|VERSION_MIN_MACOSX)$/m, "(?:minos|version)")[0] },
  };
}
