/** Checks the prebuilt binaries of a release by reading the files, on any system and without libtorch. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readElf } from "./binaryElf.mjs";
import { readMachO } from "./binaryMachO.mjs";
import { readPe } from "./binaryPe.mjs";
import { sorted } from "./binaryTool.mjs";

/** @typedef {"binding" | "engine" | "cuda"} Kind */
/** @typedef {keyof typeof oldestLinux} OldestLinux */

/**
 * The oldest Linux systems that binaries may be made for: the versions of glibc, libstdc++ and libgcc there. 2.28 is the oldest
 * that libtorch supports (libtorch_cpu.so of 2.13 and 2.14 needs GLIBC_2.28, GLIBCXX_3.4.22, CXXABI_1.3.11) and Node.js 20 too;
 * the systems with it (Red Hat 8, Debian 10) have the libraries of GCC 8.
 * @type {Record<"2.28" | "2.35", Record<"GLIBC" | "GLIBCXX" | "CXXABI" | "GCC", string>>}
 */
export const oldestLinux = {
  2.28: { GLIBC: "2.28", GLIBCXX: "3.4.25", CXXABI: "1.3.11", GCC: "7.0.0" },
  // Ubuntu 22.04, with the libraries of GCC 12: to check what a newer Linux builds.
  2.35: { GLIBC: "2.35", GLIBCXX: "3.4.30", CXXABI: "1.3.13", GCC: "12.0.0" },
};

/** The oldest macOS: that of PyTorch's own builds. */
const oldestMacOS = "14.0";

/** @type {Record<Kind, string[]>} */
const entries = {
  binding: ["napi_register_module_v1", "node_api_module_get_api_version_v1"],
  engine: ["cellsam_engine"],
  cuda: [], // its kernels register themselves when it is loaded
};

/**
 * Libraries of libtorch and CUDA that each binary links; all others are opened by path.
 * @type {Record<Kind, string[]>}
 */
const linked = {
  binding: [],
  engine: ["torch_cpu", "c10"],
  cuda: ["torch", "torch_cpu", "torch_cuda", "c10", "c10_cuda", "cudart"],
};

/**
 * How the binaries of a system are read, what a library's file is called there, and which libraries a binary may need: those of
 * the system, and those of libtorch by `names`.
 * @typedef {{
 *   read: (path: string) => import("./binaryTool.mjs").Binary,
 *   file: (name: string) => string,
 *   known: (library: string, names: string[]) => boolean,
 * }} System
 */

/** @type {Record<string, System>} */
const systems = {
  linux: {
    read: readElf,
    file: (name) => `lib${name}.so`,
    known: (library, names) =>
      /^(lib(stdc\+\+|m|gcc_s|c|dl|pthread|rt)\.so\.\d+|ld-linux-.*)$/.test(library) ||
      names.some((name) => library === `lib${name}.so` || (name === "cudart" && /^libcudart\.so\.\d+$/.test(library))),
  },
  darwin: {
    read: readMachO,
    file: (name) => `lib${name}.dylib`,
    known: (library, names) =>
      /^\/usr\/lib\/lib(System\.B|c\+\+\.1|c\+\+abi|objc\.A)\.dylib$/.test(library) ||
      names.some((name) => library === `@rpath/lib${name}.dylib`),
  },
  win32: {
    read: readPe,
    file: (name) => `lib${name}.dll`, // the libraries of this package are named as on other systems
    known: (library, names) =>
      /^(kernel32|msvcp140(_\w+)?|vcruntime140(_1)?|api-ms-win-crt-[\w-]+)\.dll$/i.test(library) ||
      names.some((name) => library.toLowerCase() === `${name}.dll`),
  },
};

/**
 * Sentences about the problems of `folder`, which holds the prebuilt binaries of `platform` (<system>-<arch>). `torches`:
 * minors that need an engine; `cuda`: those that need a CUDA library, with its CUDA, like "2.14-cu13"; `oldest`: a key of `oldestLinux`; `checkout`: a folder
 * whose path must not occur in them.
 * @param {string} folder
 * @param {string} platform
 * @param {{ torches: readonly string[], cuda?: readonly string[], oldest?: OldestLinux, checkout?: string }} wanted
 */
export function prebuildProblems(folder, platform, { torches, cuda = [], oldest = "2.28", checkout }) {
  const { file } = systemOf(platform);
  /** @type {Map<string, Kind>} */
  const kinds = new Map([["binding.node", "binding"]]);
  for (const torch of torches) kinds.set(file(`cellsam_engine-${torch}`), "engine");
  for (const torch of cuda) kinds.set(file(`cellsam_cuda-${torch}`), "cuda");
  const found = existsSync(folder) ? readdirSync(folder) : [];
  return [
    ...[...kinds.keys()].filter((name) => !found.includes(name)).map((name) => `${platform}/${name} is missing`),
    ...found.flatMap((name) => {
      const kind = kinds.get(name);
      if (!kind) return [`${platform}/${name} does not belong there`];
      return binaryProblems(join(folder, name), platform, kind, { oldest, checkout }).map(
        (text) => `${platform}/${name} ${text}`,
      );
    }),
  ];
}

/** @param {string} platform */
function systemOf(platform) {
  const system = systems[platform.split("-")[0] ?? ""];
  if (!system) throw new Error(`${platform} is not a platform of this package`);
  return system;
}

/**
 * Sentences about the problems of one binary of `kind`; none for one that may be released.
 * @param {string} path
 * @param {string} platform
 * @param {Kind} kind
 * @param {{ oldest: OldestLinux, checkout?: string | undefined }} limits
 */
export function binaryProblems(path, platform, kind, { oldest, checkout }) {
  const { read, known } = systemOf(platform);
  const arch = platform.split("-")[1];
  let binary;
  try {
    binary = read(path);
  } catch (error) {
    return [`cannot be read: ${/** @type {Error} */ (error).message}`];
  }
  const problems = [];
  if (binary.machine !== arch) problems.push(`is for ${binary.machine}, not ${arch}`);
  for (const library of binary.needed) if (!known(library, linked[kind])) problems.push(`needs ${library}`);
  // In Electron the program has another name, so it is found only by a hook of the delayed loading.
  for (const library of binary.late) {
    if (kind !== "binding" || library.toLowerCase() !== "node.exe") problems.push(`needs ${library} later on`);
  }
  for (const folder of binary.paths) problems.push(`remembers a path of the build machine: ${folder}`);
  if (binary.debug) problems.push("is not stripped");
  if (binary.signed === false) problems.push("is not signed, which macOS demands on arm64");
  for (const symbol of binary.exported) if (!entries[kind].includes(symbol)) problems.push(`exports ${symbol}`);
  for (const symbol of entries[kind]) if (!binary.exported.includes(symbol)) problems.push(`does not export ${symbol}`);
  /** @type {Record<string, string>} */
  const allowed = { macOS: oldestMacOS, ...oldestLinux[oldest] };
  for (const [library, version] of Object.entries(binary.needs)) {
    const newest = allowed[library];
    if (newest && version && sorted([version, newest]).at(-1) !== newest)
      problems.push(`needs ${library} ${version}, newer than ${newest}`);
  }
  if (!binary.debug) problems.push(...namedFolders(path, checkout)); // debug information contains the path of every file
  return problems;
}

/**
 * Asserts and torch's checks contain the path of their source file, which must be relative in a released binary.
 * @param {string} path
 * @param {string | undefined} checkout
 */
function namedFolders(path, checkout) {
  const text = readFileSync(path, "latin1");
  const source = /(?<![\w.+-])(?:\/|[A-Za-z]:[\\/])(?:[\w.+ -]+[\\/])+[\w.+-]+\.(?:h|hpp|c|cc|cpp|cu)\b/.exec(text)?.[0];
  if (source) return [`names a file of the machine that built it: ${source}`];
  return checkout && text.includes(checkout) ? ["names the folder that it was built in"] : [];
}
