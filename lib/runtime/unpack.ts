/**
 * Takes what the engine needs out of a libtorch: from PyTorch's zip archive, from a Python wheel (the same format with other
 * paths), or from a folder of either kind.
 */
import { createWriteStream } from "node:fs";
import { copyFile, readdir } from "node:fs/promises";
import { dirname, join, posix, relative, sep } from "node:path";
import { pipeline } from "node:stream/promises";
import type yauzl from "yauzl";
import { CellsamError, failureOf, isMachineFault } from "../errors.js";
import { makeFolder } from "../files/folders.js";
import { lazily } from "../lazily.js";

const zipReader = lazily<typeof yauzl>("yauzl");

/** Libraries of a wheel or archive that only Python, tests and other tools load. */
const unneeded =
  /^(lib)?(torch_python|shm|jitbackend_test|backend_with_compiler|aoti_custom_ops|torchbind_test|nnapi_backend)\b/;
/** The import libraries with which the engine is linked on Windows. The static libraries beside them are not used. */
const linkable = /^(c10|torch|torch_cpu)\.lib$/;

/**
 * The path at which a file of a libtorch is kept, relative to the target folder; null for a file that is not needed. `name` is
 * relative to the torch folder.
 */
export function keptAs(name: string, headers: boolean): string | null {
  if (name === "version.py" || name === "build-version") return name;
  const library = /^lib\/([^/]+)$/.exec(name)?.[1];
  if (library) {
    const loaded = /\.(so(\.\d+)*|dylib|dll)$/.test(library) && !unneeded.test(library);
    return loaded || (headers && linkable.test(library)) ? name : null;
  }
  return headers && name.startsWith("include/") && !name.endsWith("/") ? name : null;
}

/** Unpacks a .zip or .whl and returns how many files it kept. @throws CellsamError ERR_ARCHIVE */
export async function unpackArchive(archive: string, target: string, headers: boolean): Promise<number> {
  const zip = await open(archive);
  let kept = 0;
  try {
    for await (const entry of entries(zip)) {
      // PyTorch's archive has one folder libtorch/, a wheel has torch/ (and torch.libs/ beside it).
      const inner = /^(?:libtorch|torch)\/(.+)$/.exec(entry.fileName)?.[1];
      const name = inner === undefined ? null : keptAs(posix.normalize(inner), headers);
      if (name === null) continue;
      const path = join(target, name);
      await makeFolder(dirname(path));
      await pipeline(await readStream(zip, entry), createWriteStream(path));
      kept += 1;
    }
  } catch (cause) {
    if (isMachineFault(failureOf(cause))) throw cause;
    throw new CellsamError("ERR_ARCHIVE", `${archive} is damaged: ${(cause as Error).message}. Download it again.`, { cause });
  } finally {
    zip.close();
  }
  return kept;
}

/** Copies from a libtorch folder and returns how many files it kept. */
export async function copyFolder(folder: string, target: string, headers: boolean): Promise<number> {
  let kept = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() && !entry.isSymbolicLink()) continue;
    const path = join(entry.parentPath, entry.name);
    const name = keptAs(relative(folder, path).split(sep).join("/"), headers);
    if (name === null) continue;
    await makeFolder(dirname(join(target, name)));
    await copyFile(path, join(target, name));
    kept += 1;
  }
  return kept;
}

function open(archive: string): Promise<yauzl.ZipFile> {
  return new Promise((resolve, reject) => {
    zipReader().open(archive, { lazyEntries: true, autoClose: false }, (error, zip) => {
      if (error) reject(new CellsamError("ERR_ARCHIVE", `${archive} is no zip archive: ${error.message}`, { cause: error }));
      else resolve(zip);
    });
  });
}

async function* entries(zip: yauzl.ZipFile): AsyncGenerator<yauzl.Entry> {
  for (;;) {
    const entry = await new Promise<yauzl.Entry | null>((resolve, reject) => {
      zip.removeAllListeners();
      zip
        .once("entry", resolve)
        .once("end", () => resolve(null))
        .once("error", reject);
      zip.readEntry();
    });
    if (entry === null) return;
    yield entry;
  }
}

function readStream(zip: yauzl.ZipFile, entry: yauzl.Entry): Promise<NodeJS.ReadableStream> {
  return new Promise((resolve, reject) => {
    zip.openReadStream(entry, (error, stream) => (error ? reject(error) : resolve(stream)));
  });
}
