/** The folder of the package, and its version as result and resume files record it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const packageFolder = fileURLToPath(new URL("..", import.meta.url));

const manifest = JSON.parse(readFileSync(join(packageFolder, "package.json"), "utf8")) as { version: string };

export const packageVersion = manifest.version;
