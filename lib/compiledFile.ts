/** Programs for processes of their own. They are compiled also where the sources run uncompiled, as under the test runner. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { packageFolder } from "./version.js";

/** The path of a file in dist/, such as "search/trialProcess.js"; undefined in a checkout that is not built. */
export function compiledFile(name: string): string | undefined {
  const path = join(packageFolder, "dist", name);
  return existsSync(path) ? path : undefined;
}
