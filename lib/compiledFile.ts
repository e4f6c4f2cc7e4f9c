/** Programs for processes of their own. They are compiled also where the sources run uncompiled, as under the test runner. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CellsamError } from "./errors.js";
import { packageFolder } from "./version.js";

/**
 * The path of a file in dist/, such as "search/trialProcess.js".
 * @throws CellsamError ERR_INTERNAL in a checkout that is not built
 */
export function compiledFile(name: string): string {
  const path = join(packageFolder, "dist", name);
  if (!existsSync(path)) throw new CellsamError("ERR_INTERNAL", `dist/${name} is missing; run \`npm run build\``);
  return path;
}
