/** For `npm run check`: the release builds an engine for every torch minor that the package supports, and for no other. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

const workflow = ".github/workflows/release.yml";

/**
 * One problem for each list of torch versions in the workflow that is not the package's own.
 * @param {string} root
 */
export function releaseProblems(root) {
  const list = /supportedTorch = (\[[^\]]*\])/.exec(readFileSync(join(root, "lib", "runtime", "variants.ts"), "utf8"));
  const supported = JSON.parse(list?.[1] ?? "[]").join(" ");
  const loops = [...readFileSync(join(root, workflow), "utf8").matchAll(/for torch in ([^;]*);/g)];
  if (loops.length === 0) return [`${workflow}: builds no engine that this check can find`];
  return loops
    .map(([, versions = ""]) => versions.replace(/(\d+\.\d+)\.\d+/g, "$1"))
    .filter((minors) => minors !== supported)
    .map((minors) => `${workflow}: builds for torch ${minors}, but supportedTorch is ${supported}`);
}
