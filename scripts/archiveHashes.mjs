/**
 * `node scripts/archiveHashes.mjs`: downloads every archive of libtorch that `cellsam setup` may fetch, and writes their hashes
 * into lib/runtime/archiveHashes.ts. For a release; those with CUDA have several GB each, and are fetched one at a time.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { root, run } from "./ready.mjs";

const { download } = await import("../dist/runtime/download.js");
const { fileHash } = await import("../dist/files/fileHash.js");
const { archiveUrl, releasedPlatforms, variants } = await import("../dist/runtime/variants.js");

const table = join(root, "lib", "runtime", "archiveHashes.ts");
const folder = mkdtempSync(join(tmpdir(), "cellsam-archives-"));
/** @type {string[]} */
const lines = [];
try {
  for (const url of releasedPlatforms.flatMap((platform) => variants.map((variant) => archiveUrl(variant, platform)))) {
    if (!url) continue;
    const path = join(folder, "archive.zip");
    console.log(url);
    await download(url, path);
    lines.push(`  ${JSON.stringify(decodeURIComponent(basename(url)))}: ${JSON.stringify(await fileHash(path))},`);
    rmSync(path);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
const [head] = readFileSync(table, "utf8").split("= {");
writeFileSync(table, `${head}= {\n${lines.join("\n")}\n};\n`);
run(process.execPath, ["node_modules/@biomejs/biome/bin/biome", "check", "--write", table]);
