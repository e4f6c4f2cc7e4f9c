/**
 * `npm run release:check`: refuses a package that would fail on a user's machine. For each platform: is every binary there, is
 * it stripped, does it export and need only what it should, does it run on the system it is promised for; are the shipped weights
 * sound; and does the package hold what it should and nothing else?
 *
 *   --platform NAME   linux-x64, ...; may stand again; default: every platform that is released
 *   --torch A.B       a torch minor that needs an engine; may stand again; default: all that are supported
 *   --glibc A.B       newest glibc that a Linux binary may need; default: that of PyTorch's own builds
 *   --no-cuda         the CUDA library is not asked for
 */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { root } from "./ready.mjs";
import { weightsProblems } from "./weightsCheck.mjs";

const { shippedNames, weightsFile } = await import("../dist/config/shippedWeights.js");
const { compareVersions } = await import("../dist/runtime/setup.js");
const { releasedPlatforms, supportedTorch } = await import("../dist/runtime/variants.js");
const { values: options } = parseArgs({
  options: {
    platform: { type: "string", multiple: true },
    torch: { type: "string", multiple: true },
    glibc: { type: "string" },
    "no-cuda": { type: "boolean" },
  },
});
const platforms = options.platform ?? releasedPlatforms;
const torches = options.torch ?? supportedTorch;
const newestGlibc = options.glibc ?? "2.28"; // PyTorch's wheels are manylinux_2_28
const problems = [];

for (const platform of platforms) checkPlatform(platform);
for (const name of shippedNames) {
  for (const problem of weightsProblems(weightsFile(name))) problems.push(`the weights ${name}: the file ${problem}`);
}
checkPackage();

if (problems.length > 0) {
  console.error(problems.join("\n"));
  console.error(`\n${problems.length} reasons not to release`);
  process.exit(1);
}
console.log(`${platforms.join(", ")}, torch ${torches.join(", ")}: ready to release`);

function checkPlatform(platform) {
  const folder = join(root, "prebuilds", platform);
  const [system] = platform.split("-");
  const suffix = { linux: "so", darwin: "dylib", win32: "dll" }[system];
  const wanted = ["binding.node", ...torches.map((torch) => `libcellsam_engine-${torch}.${suffix}`)];
  const found = existsSync(folder) ? readdirSync(folder) : [];
  for (const name of wanted) if (!found.includes(name)) problems.push(`prebuilds/${platform}/${name} is missing`);
  if (platform === "linux-x64" && !options["no-cuda"] && !found.some((name) => name.startsWith("libcellsam_cuda"))) {
    problems.push(`prebuilds/${platform}: the CUDA library is missing`);
  }
  const known = /^(binding\.node|libcellsam_(engine|cuda)-\d+\.\d+\.(so|dylib|dll))$/;
  for (const name of found) {
    if (!known.test(name)) problems.push(`prebuilds/${platform}/${name} does not belong there`);
    else if (system === "linux") checkElf(platform, join(folder, name), name);
  }
}

/** A Linux binary, as readelf and nm tell it. */
function checkElf(platform, path, name) {
  const complain = (text) => problems.push(`prebuilds/${platform}/${name} ${text}`);
  const dynamic = execFileSync("readelf", ["-dW", path], { encoding: "utf8" });
  const needed = [...dynamic.matchAll(/\(NEEDED\).*\[(.+)\]/g)].map(([, library]) => library);
  const system = /^(lib(stdc\+\+|m|gcc_s|c|dl|pthread|rt)\.so\.\d+|ld-linux-.*)$/;
  const torch =
    name === "binding.node"
      ? /^$/
      : name.includes("cuda")
        ? /^lib(torch|torch_cpu|torch_cuda|c10|c10_cuda|cudart)\.so/
        : /^lib(torch_cpu|c10)\.so$/;
  for (const library of needed) if (!system.test(library) && !torch.test(library)) complain(`needs ${library}`);
  if (/\((RPATH|RUNPATH)\)/.test(dynamic)) complain("remembers a library path of the build machine");

  const sections = execFileSync("readelf", ["-SW", path], { encoding: "utf8" });
  if (/\.(symtab|debug_info)\b/.test(sections)) complain("is not stripped");

  // Besides weak and unique symbols, which C++ templates and inline functions leave, each binary has one way in.
  const entries = { "binding.node": ["napi_register_module_v1", "node_api_module_get_api_version_v1"] };
  const allowed = entries[name] ?? (name.includes("engine") ? ["cellsam_engine"] : null);
  const symbols = execFileSync("nm", ["-D", "--defined-only", path], { encoding: "utf8" }).trim().split("\n");
  const strong = symbols
    .map((line) => line.trim().split(/\s+/))
    .filter(([, kind]) => /^[TDB]$/.test(kind))
    .map(([, , symbol]) => symbol)
    .filter((symbol) => !/^(_edata|_end|__bss_start|_init|_fini)$/.test(symbol));
  for (const symbol of strong) if (allowed && !allowed.includes(symbol)) complain(`exports ${symbol}`);
  for (const symbol of allowed ?? []) if (!strong.includes(symbol)) complain(`does not export ${symbol}`);

  const versions = execFileSync("readelf", ["-VW", path], { encoding: "utf8" });
  const glibc = [...versions.matchAll(/Name: GLIBC_(\d+\.\d+)/g)].map(([, version]) => version).sort(compareVersions);
  const newest = glibc.at(-1);
  if (newest && compareVersions(newest, newestGlibc) > 0) complain(`needs glibc ${newest}, which is newer than ${newestGlibc}`);
  if (readFileSync(path).includes(root)) complain("names the folder that it was built in");
}

function checkPackage() {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  if (!readFileSync(join(root, "CHANGELOG.md"), "utf8").includes(manifest.version)) {
    problems.push(`CHANGELOG.md does not say what is new in ${manifest.version}`);
  }
  for (const hook of ["preinstall", "install", "postinstall"]) {
    if (manifest.scripts[hook]) problems.push(`package.json has a script ${hook}: package managers block it`);
  }
  const [pack] = JSON.parse(execFileSync("npm", ["pack", "--dry-run", "--json"], { cwd: root, encoding: "utf8" }));
  const files = pack.files.map(({ path }) => path);
  const weightsFiles = shippedNames.flatMap((name) => [`models/${name}.safetensors`, `models/${name}.md`]);
  const unwanted = /(^|\/)(test|node_modules|build|output)\/|\.(cc|cu|h|tsbuildinfo)$|\.map$/;
  for (const file of files) if (unwanted.test(file)) problems.push(`the package holds ${file}`);
  for (const file of [
    "dist/core.js",
    "dist/entry.js",
    "dist/index.d.ts",
    "dist/cli/main.js",
    "README.md",
    "LICENSE",
    ...weightsFiles,
  ]) {
    if (!files.includes(file)) problems.push(`the package lacks ${file}`);
  }
  if (!/^export \{[^}]*\} from "\.\/core\.js";\n$/.test(readFileSync(join(root, "dist", "entry.js"), "utf8"))) {
    problems.push("dist/entry.js loads more than dist/core.js: run `npm run compile`");
  }
  const mega = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
  console.log(`${pack.filename}: ${mega(pack.size)} packed, ${mega(pack.unpackedSize)} unpacked, ${files.length} files`);
}
