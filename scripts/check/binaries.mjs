/** RUNPATHs and unwanted dependencies of what was built, for `npm run check`, where readelf is at hand. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

/**
 * One problem for each rule that a binary in build/Release breaks; none where nothing was built.
 * @param {string} root
 */
export function binaryProblems(root) {
  const release = join(root, "build", "Release");
  if (process.platform !== "linux" || !existsSync(release)) return [];
  return readdirSync(release)
    .filter((name) => /\.(so|node)$/.test(name))
    .flatMap((name) => problemsOf(name, execFileSync("readelf", ["-d", join(release, name)], { encoding: "utf8" })));
}

/**
 * @param {string} name
 * @param {string} dynamic the dynamic section, as readelf prints it
 */
function problemsOf(name, dynamic) {
  const problems = [];
  if (/\((RPATH|RUNPATH)\)/.test(dynamic)) problems.push(`${name}: remembers a library path of the build machine`);
  if (/^libcellsam_engine/.test(name) && /\[lib(torch_cuda|c10_cuda|cuda)/.test(dynamic))
    problems.push(`${name}: depends on CUDA, which only libcellsam_cuda may`);
  if (name === "binding.node" && /\[lib(torch|c10)/.test(dynamic)) problems.push(`${name}: depends on libtorch`);
  return problems;
}
