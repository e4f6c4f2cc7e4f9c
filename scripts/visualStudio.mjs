/** Visual Studio's environment, which a build on Windows needs; a command file of Visual Studio makes it. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

/** Installs compiler, clang-cl, CMake and Ninja. */
export const installVisualStudio =
  'winget install --exact --id Microsoft.VisualStudio.2022.BuildTools --override "--passive --wait --includeRecommended ' +
  '--add Microsoft.VisualStudio.Workload.VCTools --add Microsoft.VisualStudio.Component.VC.Llvm.Clang"';

/**
 * Gives this process, and all that it starts, the environment of Visual Studio's own command prompt. Returns whether it has it; does nothing
 * on other systems.
 */
export function enterVisualStudio() {
  if (process.platform !== "win32") return false;
  if (process.env.VSCMD_VER) return true;
  const programs = process.env["ProgramFiles(x86)"] ?? "C:\\Program Files (x86)";
  const finder = join(programs, "Microsoft Visual Studio", "Installer", "vswhere.exe");
  const wanted = ["-latest", "-products", "*", "-requires", "Microsoft.VisualStudio.Component.VC.Tools.x86.x64"];
  const found = spawnSync(finder, [...wanted, "-property", "installationPath", "-utf8"], { encoding: "utf8" });
  const script = join(found.stdout?.trim() || ".", "VC", "Auxiliary", "Build", "vcvars64.bat");
  if (found.status !== 0 || !existsSync(script)) return false;
  const line = `"chcp 65001 >nul & call "${script}" >nul && set"`;
  const told = spawnSync("cmd.exe", ["/d", "/s", "/c", line], { encoding: "utf8", windowsVerbatimArguments: true });
  for (const [, name = "", value] of (told.stdout ?? "").matchAll(/^([^=\r\n]+)=(.*?)\r?$/gm)) process.env[name] = value;
  return Boolean(process.env.VSCMD_VER);
}
