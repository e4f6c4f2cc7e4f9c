#!/usr/bin/env node
/**
 * prebuildify calls this in place of node-gyp: builds binding.node with cmake-js into build/Release of the working folder.
 * Node-API keeps one binary good for every Node.js version, so the target version in the arguments is not used.
 */
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { buildNative } from "./cmakeJs.mjs";
import { root } from "./ready.mjs";

const out = join(root, "build", "prebuild", "binding");
buildNative(out, { LIBTORCH: "", CELLSAM_TESTS: "OFF", CELLSAM_RELEASE: "ON" });
mkdirSync(join("build", "Release"), { recursive: true });
copyFileSync(join(out, "Release", "binding.node"), join("build", "Release", "binding.node"));
