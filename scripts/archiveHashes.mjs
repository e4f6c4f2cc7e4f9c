/**
 * `node scripts/archiveHashes.mjs [--again] [--mirror URL] [--table FILE]`: downloads the archives of libtorch that `cellsam setup`
 * may fetch, and writes their hashes into lib/runtime/archiveHashes.ts, or another file of that form. For a release; those with
 * CUDA have several GB each, and are fetched one at a time. Archives that are listed are not fetched again, except with --again;
 * those of other versions leave the list. A mirror stands in for https://download.pytorch.org.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { root } from "./ready.mjs";

const { download } = await import("../dist/runtime/download.js");
const { fileHash } = await import("../dist/files/fileHash.js");
const { archiveUrl, releasedPlatforms, variants } = await import("../dist/runtime/variants.js");

const own = join(root, "lib", "runtime", "archiveHashes.ts");
const { values: options } = parseArgs({
  options: { again: { type: "boolean" }, mirror: { type: "string" }, table: { type: "string", default: own } },
});
const [head] = readFileSync(own, "utf8").split("= {");
const known = options.again ? new Map() : listed(options.table);
const urls = releasedPlatforms
  .flatMap((platform) => variants.map((variant) => archiveUrl(variant, platform)))
  .filter((url) => url !== null);
const folder = mkdtempSync(join(tmpdir(), "cellsam-archives-"));
/** @type {Map<string, string>} */
const hashes = new Map();
try {
  for (const url of urls) {
    const name = decodeURIComponent(basename(url));
    hashes.set(name, known.get(name) ?? (await hashOf(url)));
    // After each, so that what was fetched before a failure is not fetched again.
    write(new Map([...known, ...hashes]));
  }
  write(hashes);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** The hashes by name of a table that is there. @param {string} table @returns {Map<string, string>} */
function listed(table) {
  const text = existsSync(table) ? readFileSync(table, "utf8") : "";
  return new Map([...text.matchAll(/"([^"]+)": "([0-9a-f]{64})"/g)].map(([, name = "", hash = ""]) => [name, hash]));
}

/** @param {string} url */
async function hashOf(url) {
  const from = options.mirror ? url.replace("https://download.pytorch.org", options.mirror) : url;
  const path = join(folder, "archive.zip");
  console.log(from);
  await download(from, path);
  const hash = await fileHash(path);
  rmSync(path);
  return hash;
}

/** @param {Map<string, string>} table */
function write(table) {
  const lines = [...table].map(([name, hash]) => `  ${JSON.stringify(name)}: ${JSON.stringify(hash)},`);
  writeFileSync(options.table, `${head}= {\n${lines.join("\n")}\n};\n`);
}
