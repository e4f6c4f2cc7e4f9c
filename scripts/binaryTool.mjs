/** Runs the tools with which the release check reads binaries. */
import { execFileSync } from "node:child_process";

/**
 * What a binary says of itself. `paths`: of the build machine; `late`: libraries that are loaded at their first use; `needs`: the
 * newest version of a system library that it asks for, by that library's name.
 * @typedef {{
 *   machine: string | undefined,
 *   needed: string[],
 *   late: string[],
 *   paths: string[],
 *   exported: string[],
 *   debug: boolean,
 *   signed?: boolean,
 *   needs: Record<string, string | undefined>,
 * }} Binary
 */

/**
 * What a tool prints; an error that names the package to install when there is no such tool.
 * @param {string} tool
 * @param {string} debianPackage
 * @param {string[]} args
 */
export function read(tool, debianPackage, args) {
  try {
    return execFileSync(tool, args, { encoding: "utf8", maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "pipe"] });
  } catch (thrown) {
    const error = /** @type {Error & { code?: string, stderr?: string }} */ (thrown);
    if (error.code === "ENOENT")
      throw new Error(`${tool} is not here: install it (Debian, Ubuntu: ${debianPackage})`, { cause: error });
    throw new Error(String(error.stderr).trim().split("\n").at(-1) || error.message, { cause: error });
  }
}

/**
 * Version numbers, oldest first.
 * @param {string[]} versions
 */
export function sorted(versions) {
  return versions.sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
}
