/** The Visual C++ runtime, which libtorch, the engine and binding.node need on Windows and Node.js does not bring. */
import { existsSync } from "node:fs";
import { join } from "node:path";

const libraries = ["vcruntime140.dll", "vcruntime140_1.dll", "msvcp140.dll"];

export const installVisualCpp = "winget install --exact --id Microsoft.VCRedist.2015+.x64";

/** The libraries of the runtime that are missing. */
export function missingVisualCpp(env: NodeJS.ProcessEnv = process.env): string[] {
  const folder = join(env.SystemRoot ?? "C:\\Windows", "System32");
  return libraries.filter((name) => !existsSync(join(folder, name)));
}
