/** Runs the tools with which the release check reads binaries. */
import { execFileSync } from "node:child_process";

/** The output of a tool. @throws Error that names the package to install when there is no such tool */
export function read(tool, debianPackage, args) {
  try {
    return execFileSync(tool, args, { encoding: "utf8", maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    if (error.code === "ENOENT")
      throw new Error(`${tool} is not here: install it (Debian, Ubuntu: ${debianPackage})`, { cause: error });
    throw new Error(String(error.stderr).trim().split("\n").at(-1) || error.message, { cause: error });
  }
}

/** Version numbers, oldest first. */
export function sorted(versions) {
  return versions.sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
}
