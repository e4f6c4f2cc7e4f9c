#!/usr/bin/env node
/**
 * What prebuildify calls in the place of node-gyp: builds binding.node with cmake-js into build/Release of the working folder.
 * Node-API keeps one binary good for every Node.js version, so the target version in the arguments is not used.
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const out = join(root, "build", "prebuild", "binding");
const cmakeJs = join(root, "node_modules", "cmake-js", "bin", "cmake-js");
for (const args of [["configure", "--CDLIBTORCH=", "--CDCELLSAM_TESTS=OFF", "--CDCELLSAM_RELEASE=ON"], ["build"]]) {
  const step = spawnSync(process.execPath, [cmakeJs, ...args, "--out", out], { cwd: root, stdio: "inherit" });
  if (step.status !== 0) process.exit(step.status ?? 1);
}
mkdirSync(join("build", "Release"), { recursive: true });
copyFileSync(join(out, "Release", "binding.node"), join("build", "Release", "binding.node"));
