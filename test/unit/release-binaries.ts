/**
 * Made-up binaries for the tests of `npm run release:check`: a few lines of C with the entry points of ours, made by the real
 * compilers and linkers of each system, so that what the check reads was not written by us.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Made {
  exports: string[];
  /** Libraries that it links, by the name that is written down; of ELF with a symbol version after @. */
  needs?: string[];
  /** Windows: libraries that are loaded on their first call. */
  late?: string[];
  debug?: boolean;
  /** Folder of a run path; on Windows, whether the linker leaves the path of its debug file. */
  path?: string;
  /** Text that stands in the binary. */
  text?: string;
  /** Machine or oldest system, as clang's target says it. */
  target?: string;
  unsigned?: boolean;
}

const has = (...tools: string[]) => tools.every((tool) => !spawnSync(tool, ["--version"], { stdio: "ignore" }).error);
export const makesElf = has("gcc", "readelf");
export const makesOthers = has("clang", "lld-link", "llvm-dlltool", "llvm-readobj", "llvm-objdump", "llvm-nm");

const scratches: string[] = [];
function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), "cellsam-made-"));
  scratches.push(folder);
  return folder;
}

/** Removes what the compilers left. */
export function tidy(): void {
  for (const folder of scratches.splice(0)) rmSync(folder, { recursive: true });
}

function run(command: string, args: string[], cwd: string): void {
  execFileSync(command, args, { cwd, stdio: ["ignore", "ignore", "inherit"] });
}

/** A name of C for the function that a library has. */
const inside = (library: string) => `in_${library.replace(/\W/g, "_")}`;

function source({ exports, needs = [], late = [], text = "" }: Made, exported: string, imported = "", weak = ""): string {
  const libraries = [...needs, ...late];
  return [
    ...libraries.map((library) => `${imported} extern int ${inside(library)}(void);`),
    `static const char text[] __attribute__((used)) = ${JSON.stringify(text)};`,
    ...exports.map((name) => `${exported} int ${name}(void) { return 1; }`),
    weak,
    `__attribute__((used)) int calls(void) { return ${libraries.map((library) => `${inside(library)}()`).join(" + ") || 0}; }`,
    "void *__delayLoadHelper2(void *descriptor, void *address) { return 0; }",
  ].join("\n");
}

const visible = '__attribute__((visibility("default")))';

/** A Linux binary for this machine. */
export function makeElf(path: string, made: Made): void {
  const work = scratch();
  const libraries = (made.needs ?? []).map((named, index) => {
    const [library, version] = named.split("@") as [string, string | undefined];
    const out = `lib${index}.so`;
    writeFileSync(join(work, "library.c"), `int ${inside(named)}(void) { return 1; }`);
    writeFileSync(join(work, "versions"), `${version} { global: ${inside(named)}; };`);
    const script = version ? ["-Wl,--version-script=versions"] : [];
    run("gcc", ["-shared", "-fPIC", "-nostdlib", `-Wl,-soname,${library}`, ...script, "library.c", "-o", out], work);
    return out;
  });
  writeFileSync(
    join(work, "made.c"),
    source(made, visible, "", `${visible} __attribute__((weak)) int from_a_template(void) { return 2; }`),
  );
  const flags = [...(made.debug ? ["-g"] : ["-s"]), ...(made.path ? [`-Wl,-rpath,${made.path}`] : [])];
  run("gcc", ["-shared", "-fPIC", "-nostdlib", "-fvisibility=hidden", ...flags, "made.c", ...libraries, "-o", path], work);
}

/** A Windows DLL. */
export function makePe(path: string, made: Made): void {
  const work = scratch();
  const target = made.target ?? "x86_64-pc-windows-msvc";
  const arm = target.startsWith("aarch64");
  const libraries = [...(made.needs ?? []), ...(made.late ?? [])].map((library, index) => {
    writeFileSync(join(work, "library.def"), `LIBRARY ${library}\nEXPORTS\n  ${inside(library)}\n`);
    run("llvm-dlltool", ["-m", arm ? "arm64" : "i386:x86-64", "-d", "library.def", "-l", `${index}.lib`], work);
    return `${index}.lib`;
  });
  writeFileSync(join(work, "made.c"), source(made, "__declspec(dllexport)", "__declspec(dllimport)"));
  run("clang", [`--target=${target}`, "-O1", ...(made.debug ? ["-gdwarf"] : []), "-c", "made.c", "-o", "made.obj"], work);
  const flags = [
    ...(made.late ?? []).map((library) => `/delayload:${library}`),
    ...(made.debug ? ["/debug:dwarf"] : made.path ? ["/debug", "/pdb:made.pdb", `/pdbaltpath:${made.path}`] : []),
  ];
  run(
    "lld-link",
    ["/dll", "/noentry", "/nodefaultlib", "/implib:made.lib", `/out:${path}`, ...flags, "made.obj", ...libraries],
    work,
  );
}

/** A macOS library. */
export function makeMachO(path: string, made: Made): void {
  const work = scratch();
  const target = made.target ?? "arm64-apple-macos14";
  // Stubs of libraries, as Apple's SDK has them in the place of the libraries themselves.
  const stubs = ["/usr/lib/libSystem.B.dylib", ...(made.needs ?? [])].map((library, index) => {
    const symbol = index === 0 ? "dyld_stub_binder" : `_${inside(library)}`;
    const arch = target.startsWith("arm64") ? "arm64-macos" : "x86_64-macos";
    const lines = [
      "--- !tapi-tbd",
      "tbd-version: 4",
      `targets: [ ${arch} ]`,
      `install-name: '${library}'`,
      "exports:",
      `  - targets: [ ${arch} ]`,
      `    symbols: [ ${symbol} ]`,
      "...",
    ];
    writeFileSync(join(work, `${index}.tbd`), `${lines.join("\n")}\n`);
    return `${index}.tbd`;
  });
  writeFileSync(
    join(work, "made.c"),
    source(made, visible, "", `${visible} __attribute__((weak)) int from_a_template(void) { return 2; }`),
  );
  run(
    "clang",
    [`--target=${target}`, "-O1", "-fvisibility=hidden", ...(made.debug ? ["-g"] : []), "-c", "made.c", "-o", "made.o"],
    work,
  );
  // The SDK is a newer one, as on a build machine.
  const oldest = /macos([\d.]+)$/.exec(target)?.[1];
  const sdk = `-Wl,-platform_version,macos,${oldest},26.0`;
  const flags = [sdk, ...(made.path ? [`-Wl,-rpath,${made.path}`] : []), ...(made.unsigned ? ["-Wl,-no_adhoc_codesign"] : [])];
  run("clang", [`--target=${target}`, "-shared", "-fuse-ld=lld", "-nostdlib", ...flags, "made.o", ...stubs, "-o", path], work);
}
