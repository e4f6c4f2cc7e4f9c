/**
 * `cellsam setup`: puts a libtorch into the cache, from PyTorch's own archive or through pip, which knows the mirrors of the
 * network. A folder counts as installed only when it has READY.json and its final name.
 */
import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { promisify } from "node:util";
import { CellsamError } from "../errors.js";
import { fileHash } from "../files/fileHash.js";
import { makeFolder } from "../files/folders.js";
import { isHeld, replaceFile } from "../files/replaceFile.js";
import { archiveSha256 } from "./archiveHashes.js";
import { download } from "./download.js";
import { missingCudaLibraries } from "./libraries.js";
import { isNoPython, pythonCommands } from "./python.js";
import { cacheFolder, libraryName, libtorchVersion } from "./resolve.js";
import { copyFolder, unpackArchive } from "./unpack.js";
import {
  archiveUrl,
  cpuWheels,
  hasVariant,
  libtorchVersionPinned,
  supportedTorch,
  torchOf,
  type Variant,
  wheelPython,
} from "./variants.js";

export interface SetupOptions {
  variant: Variant;
  /** Version A.B.C of torch, of a supported minor. Default: the one that this package is made for. */
  torch?: string;
  /** A URL, a zip archive, a wheel or a folder to take libtorch from. */
  from?: string;
  /** Expected SHA-256 of the file that `from` names, or of PyTorch's archive; it must be given for plain HTTP. */
  sha256?: string | undefined;
  /** Also keep the headers, to build the engine from source. */
  headers?: boolean;
  /** Replace what is there already. */
  force?: boolean;
  env?: NodeJS.ProcessEnv;
  signal?: AbortSignal;
  onProgress?: (text: string) => void;
}

export interface SetupResult {
  path: string;
  version: string;
  variant: string;
  bytes: number;
  /** False when it was installed already and nothing was done. */
  fetched: boolean;
}

/**
 * Fetches libtorch into the cache.
 * @throws CellsamError ERR_SETUP, which lists why each source failed; ERR_CHECKSUM; the signal's reason
 */
export async function setupLibtorch(options: SetupOptions): Promise<SetupResult> {
  const env = options.env ?? process.env;
  const { variant, torch = libtorchVersionPinned } = options;
  if (!supportedTorch.some((minor) => torch.startsWith(`${minor}.`))) {
    throw new CellsamError("ERR_SETUP", `torch ${torch} is not supported: choose a version of ${supportedTorch.join(", ")}.`);
  }
  if (variant !== "cpu" && !options.from && !hasVariant(torch, variant)) {
    throw new CellsamError(
      "ERR_SETUP",
      `PyTorch has no ${variant} build of torch ${torch}: choose a torch of ${torchOf(variant)}, or another variant.`,
    );
  }
  const root = join(cacheFolder(env), "libtorch");
  const target = join(root, `${torch}-${variant}`);
  const complete = async (folder: string) =>
    (await exists(join(folder, "READY.json"))) && (!options.headers || (await exists(join(folder, "include"))));
  if ((await complete(target)) && !options.force && !options.from) {
    return { path: target, version: torch, variant, bytes: await folderSize(target), fetched: false };
  }

  let work: string;
  try {
    await makeFolder(root);
    work = await mkdtemp(join(root, ".partial-"));
  } catch (cause) {
    throw new CellsamError("ERR_SETUP", `${root} cannot be written: set CELLSAM_CACHE to a folder that can.`, { cause });
  }
  try {
    const { source, sha256 } = await fetchInto(join(work, "libtorch"), work, variant, options);
    const version = await checkedVersion(join(work, "libtorch"), source, options);
    const folder = join(root, `${version}-${variant}`);
    const files = await checksums(join(work, "libtorch"));
    await writeFile(
      join(work, "libtorch", "READY.json"),
      `${JSON.stringify({ version, variant, source, sha256, created: new Date().toISOString(), files }, null, 2)}\n`,
    );
    // Counted before the folder gets its name: another set-up may replace it right away.
    const bytes = await folderSize(join(work, "libtorch"));
    // Where two set-ups run at once, the folder of the first stays: a process may have opened it already.
    const found = !options.force && !options.from && (await complete(folder));
    if (!found) await replaceFolder(folder, join(work, "libtorch"), join(work, "replaced"));
    return { path: folder, version, variant, bytes, fetched: !found };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== "ENOSPC" && code !== "EDQUOT") throw error;
    throw new CellsamError(
      "ERR_SETUP",
      `The disk of ${root} is full: libtorch needs about ${diskNeededGb(variant)} GB while it is unpacked. Free some, or set ` +
        "CELLSAM_CACHE to a folder on another disk. Nothing was left behind.",
      { cause: error },
    );
  } finally {
    // On Windows a scanner may still be reading what was written, and what was replaced may be in use.
    await rm(work, { recursive: true, force: true, maxRetries: 5 }).catch((error: Error) =>
      options.onProgress?.(`${work} could not be removed (${error.message}): remove it when nothing uses it`),
    );
  }
}

/**
 * The version A.B.C of what a source gave.
 * @throws CellsamError ERR_SETUP where it is no libtorch, or not one of the variant that was asked for
 */
async function checkedVersion(folder: string, source: string, { variant, env = process.env }: SetupOptions): Promise<string> {
  const [version, label] = libtorchVersion(folder)?.split("+") ?? [];
  const has = (name: string) => exists(join(folder, "lib", libraryName(name)));
  const refuse = (why: string) => new CellsamError("ERR_SETUP", `${source} ${why}`);
  if (!version || !(await has("torch_cpu"))) throw refuse(`holds no libtorch for ${process.platform}-${process.arch}.`);
  const cuda = await has("torch_cuda");
  if (variant === "cpu" && cuda) throw refuse("gave a CUDA build: name its variant too, or another source with --from.");
  if (variant !== "cpu" && (!cuda || (label?.startsWith("cu") && label !== variant)))
    throw refuse(`is ${cuda ? `a build for ${label}` : "a build without CUDA"}, not for ${variant}.`);
  const missing = missingCudaLibraries(folder, env);
  if (missing.length === 0) return version;
  throw refuse(
    `lacks libraries of CUDA that it needs: ${missing.join(", ")}. pip keeps them in packages of their own (nvidia-*), and PyTorch's ` +
      "archive has them: leave out --from. Or use the torch of a Python where pip installed both, with LIBTORCH_USE_PYTORCH=1.",
  );
}

/** Archive and unpacked libraries side by side, in GB. */
const diskNeededGb = (variant: Variant) => (variant === "cpu" ? 1 : 8);

/** Moves `made` to `folder`. What was there moves to `aside` first, so that `folder` is missing only for a moment. */
async function replaceFolder(folder: string, made: string, aside: string): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    await replaceFile(folder, `${aside}-${tries}`).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === "ENOENT") return;
      if (!isHeld(cause)) throw cause;
      const message = `${folder} cannot be replaced (${cause.message}): end the programs that use it, or set CELLSAM_CACHE to another folder.`;
      throw new CellsamError("ERR_SETUP", message, { cause });
    });
    try {
      await replaceFile(made, folder);
      return;
    } catch (error) {
      // Another set-up moved its own folder there meanwhile. Windows reports that as EPERM.
      const taken = ["ENOTEMPTY", "EEXIST", ...(process.platform === "win32" ? ["EPERM"] : [])];
      if (!taken.includes((error as NodeJS.ErrnoException).code ?? "") || tries >= 5) throw error;
    }
  }
}

/** Where libtorch came from, and the hash of the archive; null for a folder. */
interface Source {
  source: string;
  sha256: string | null;
}

/** Tries the sources in turn and returns the one that delivered the files. */
async function fetchInto(target: string, work: string, variant: Variant, options: SetupOptions): Promise<Source> {
  const report = options.onProgress ?? (() => {});
  const headers = options.headers ?? false;
  if (options.from) {
    const isUrl = /^https?:/.test(options.from);
    const path = isUrl ? join(work, basename(new URL(options.from).pathname)) : resolve(options.from);
    if (options.from.startsWith("http:") && !options.sha256)
      throw new CellsamError(
        "ERR_SETUP",
        `--from ${options.from} is plain HTTP, which anyone on the way can change: add --sha256`,
      );
    if (isUrl) await fetchFile(options.from, path, options);
    if ((await stat(path).catch(() => null))?.isDirectory()) {
      report(`Copying from ${path}`);
      await copyFolder(path, target, headers);
    } else {
      if (!(await exists(path)))
        throw new CellsamError("ERR_SETUP", `--from ${options.from}: there is no such file or folder.`);
      const sha256 = await checkedHash(path, options.sha256);
      report(`Unpacking ${basename(path)}`);
      await unpackArchive(path, target, headers);
      return { source: options.from, sha256 };
    }
    return { source: options.from, sha256: null };
  }

  const failures: string[] = [];
  const torch = options.torch ?? libtorchVersionPinned;
  const url = archiveUrl(variant, `${process.platform}-${process.arch}`, torch);
  if (url) {
    try {
      const path = join(work, "libtorch.zip");
      const name = decodeURIComponent(basename(url));
      const expected = options.sha256 ?? archiveSha256[name];
      await fetchFile(url, path, options);
      const sha256 = await checkedHash(path, expected, name);
      if (!expected) report(unpinned(name, sha256));
      report("Unpacking");
      await unpackArchive(path, target, headers);
      return { source: url, sha256 };
    } catch (error) {
      options.signal?.throwIfAborted();
      // An archive that is not the one of the release is no reason to look for another source.
      if (error instanceof CellsamError && error.code === "ERR_CHECKSUM") throw error;
      failures.push(`PyTorch's archive: ${(error as Error).message}`);
    }
  }
  // A CUDA wheel needs further packages for CUDA's own libraries, so pip is a source for the CPU only.
  if (variant === "cpu") {
    try {
      report(`Asking pip for torch ${torch}`);
      const wheel = await pipDownload(work, torch, options);
      await unpackArchive(wheel, target, headers);
      return { source: `pip, ${basename(wheel)}`, sha256: await fileHash(wheel) };
    } catch (error) {
      options.signal?.throwIfAborted();
      failures.push(`pip: ${(error as Error).message}`);
    }
  }
  throw new CellsamError(
    "ERR_SETUP",
    `No source gave libtorch ${torch} (${variant}):\n${failures.map((line) => `  ${line}`).join("\n")}\n` +
      "Name one yourself: npx cellsam setup --from <URL, libtorch zip, torch wheel or folder>" +
      (variant === "cpu" ? "" : "\nOr use the torch of a Python where pip installed it with CUDA: set LIBTORCH_USE_PYTORCH=1"),
    { detail: { failures } },
  );
}

async function fetchFile(url: string, path: string, options: SetupOptions): Promise<void> {
  options.onProgress?.(`Downloading ${url}`);
  let shown = -1;
  await download(url, path, {
    ...(options.signal ? { signal: options.signal } : {}),
    onProgress: (bytes, total) => {
      const percent = total === null ? Math.floor(bytes / 1e8) : Math.floor((bytes / total) * 20) * 5;
      if (percent === shown) return;
      shown = percent;
      options.onProgress?.(total === null ? `${Math.round(bytes / 1e6)} MB` : `${percent} % of ${Math.round(total / 1e6)} MB`);
    },
  });
}

/** Returns the path of the wheel. pip checks its hash against the index, and honours the mirrors of its configuration. */
async function pipDownload(work: string, torch: string, options: SetupOptions): Promise<string> {
  const folder = join(work, "wheel");
  // On Linux pip's own index has the CUDA build under this version; pip prefers the +cpu wheel of the extra index.
  const source = ["--extra-index-url", cpuWheels, "--only-binary", ":all:", "--no-deps"];
  const args = ["-m", "pip", "download", ...source, "--dest", folder, `torch==${torch}`];
  try {
    await callPython(args, options).catch((error) => {
      // This Python may be too old or too new for torch. The libraries are the same in the wheels of every Python, so another
      // one will do.
      if (isNoPython(error) || options.signal?.aborted) throw error;
      return callPython([...args, "--python-version", wheelPython], options).catch(() => Promise.reject(error));
    });
  } catch (error) {
    if (isNoPython(error)) throw new Error("no Python 3 was found (set PYTHON to choose one)", { cause: error });
    const lines = ((error as { stderr?: string }).stderr || (error as Error).message).trim().split("\n");
    throw new Error(lines.find((line) => line.startsWith("ERROR")) ?? lines.at(-1), { cause: error });
  }
  const wheel = (await readdir(folder)).find((name) => name.endsWith(".whl"));
  if (!wheel) throw new Error("pip downloaded no wheel");
  return join(folder, wheel);
}

/** Runs the first Python that is there. */
async function callPython(args: string[], { env = process.env, signal }: SetupOptions): Promise<void> {
  let failure: unknown;
  for (const [python, ...first] of pythonCommands({ PYTHON: env.PYTHON ?? process.env.PYTHON })) {
    try {
      const settings = { env: { PIP_RETRIES: "1", ...env }, maxBuffer: 1 << 26, ...(signal ? { signal } : {}) };
      await promisify(execFile)(python, [...first, ...args], settings);
      return;
    } catch (error) {
      if (!isNoPython(error)) throw error;
      failure = error;
    }
  }
  throw failure;
}

/** Says that nothing but HTTPS vouches for an archive. */
function unpinned(name: string, sha256: string): string {
  return (
    `note: this version of cellsam-train knows no SHA-256 of ${name}, which is trusted for coming from PyTorch over HTTPS. ` +
    `It has ${sha256}; --sha256 with another machine's makes sure that both have the same.`
  );
}

/** The SHA-256 of a file, which messages call `name`. @throws CellsamError ERR_CHECKSUM where it is not `expected` */
async function checkedHash(path: string, expected: string | undefined, name = basename(path)): Promise<string> {
  const found = await fileHash(path);
  if (expected === undefined || found === expected.toLowerCase()) return found;
  throw new CellsamError("ERR_CHECKSUM", `${name} has SHA-256 ${found}, not ${expected}: it is damaged or another file.`, {
    detail: { expected, found },
  });
}

/** SHA-256 of every library, by which `cellsam doctor` recognises a damaged one. */
async function checksums(folder: string): Promise<Record<string, string>> {
  const sums: Record<string, string> = {};
  for (const name of (await readdir(join(folder, "lib"))).sort())
    sums[`lib/${name}`] = await fileHash(join(folder, "lib", name));
  return sums;
}

async function folderSize(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  }
  return bytes;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
