/**
 * `npm run release:check`: refuses a package that would fail on a user's machine. It checks for each platform that every binary
 * is there, is stripped, exports and needs only what it should, and runs on the oldest supported system; that the shipped
 * weights are valid; and that the package has the right files and no others. The binaries of all platforms can be checked on
 * any system.
 *
 *   --platform NAME   linux-x64, ...; may be repeated; default: every platform that is released
 *   --torch A.B       a torch minor that needs an engine; may be repeated; default: all that are supported
 *   --cuda A.B-cuN    a torch minor that needs a library for CUDA N on linux-x64; may be repeated; default: those of --torch for
 *                     CUDA 12 and 13
 *   --no-cuda         no CUDA library is asked for
 *   --glibc A.B       the oldest Linux that a binary must run on, by its glibc; default: that of PyTorch's own builds
 *   --tag NAME        also refuses when the package is not the version of this git tag, or still unreleased by its changelog
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { oldestLinux, prebuildProblems } from "./binaryCheck.mjs";
import { fail, npmCall, root } from "./ready.mjs";
import { weightsProblems } from "./weightsCheck.mjs";

const { shippedNames, weightsFile } = await import("../dist/config/shippedWeights.js");
const { archiveUrl, releasedPlatforms, supportedTorch, variants } = await import("../dist/runtime/variants.js");
const { archiveSha256 } = await import("../dist/runtime/archiveHashes.js");
const { values: options } = parseArgs({
  options: {
    platform: { type: "string", multiple: true },
    torch: { type: "string", multiple: true },
    cuda: { type: "string", multiple: true },
    "no-cuda": { type: "boolean" },
    glibc: { type: "string", default: "2.28" },
    tag: { type: "string" },
  },
});
const platforms = options.platform ?? releasedPlatforms;
for (const platform of platforms) {
  if (!releasedPlatforms.includes(platform)) fail(`--platform ${platform} is not one of ${releasedPlatforms.join(", ")}.`);
}
const oldest = /** @type {import("./binaryCheck.mjs").OldestLinux} */ (options.glibc);
if (!(oldest in oldestLinux)) fail(`--glibc ${options.glibc} is not one of ${Object.keys(oldestLinux).join(", ")}.`);
const torches = options.torch ?? supportedTorch;
const everyCuda = torches.flatMap((/** @type {string} */ torch) => [`${torch}-cu12`, `${torch}-cu13`]);
const cuda = options["no-cuda"] ? [] : (options.cuda ?? everyCuda);
const problems = [];

for (const platform of platforms) {
  const wanted = { torches, cuda: platform === "linux-x64" ? cuda : [], oldest, checkout: root };
  problems.push(...prebuildProblems(join(root, "prebuilds", platform), platform, wanted).map((text) => `prebuilds/${text}`));
}
for (const name of shippedNames) {
  for (const problem of weightsProblems(weightsFile(name))) problems.push(`the weights ${name}: the file ${problem}`);
}
for (const url of platforms.flatMap((platform) => variants.map((variant) => archiveUrl(variant, platform)))) {
  const name = url && decodeURIComponent(basename(url));
  if (name && !archiveSha256[name]) problems.push(`${name} has no pinned hash: run node scripts/archiveHashes.mjs`);
}
checkPackage();

if (problems.length > 0) {
  console.error(problems.join("\n"));
  console.error(`\n${problems.length} reasons not to release`);
  process.exit(1);
}
console.log(`${platforms.join(", ")}, torch ${torches.join(", ")}: ready to release`);

function checkPackage() {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const heading = readFileSync(join(root, "CHANGELOG.md"), "utf8")
    .split("\n")
    .find((line) => line.startsWith(`## ${manifest.version} `));
  if (!heading) problems.push(`CHANGELOG.md does not say what is new in ${manifest.version}`);
  if (options.tag) {
    if (options.tag !== `v${manifest.version}`)
      problems.push(`the tag ${options.tag} is not v${manifest.version}, the package's version`);
    if (/unreleased/.test(heading ?? "")) problems.push(`CHANGELOG.md calls ${manifest.version} unreleased`);
    // npm publishes provenance only for a package whose repository field names the repository of the build.
    if (!manifest.repository?.url) problems.push("package.json has no repository, without which npm takes no provenance");
  }
  for (const hook of ["preinstall", "install", "postinstall"]) {
    if (manifest.scripts[hook]) problems.push(`package.json has a script ${hook}: package managers block it`);
  }
  const [pack] = JSON.parse(
    execFileSync(...npmCall(["pack", "--dry-run", "--json"], { cwd: root, encoding: /** @type {const} */ ("utf8") })),
  );
  /** @type {string[]} */
  const files = pack.files.map((/** @type {{ path: string }} */ { path }) => path);
  const weightsFiles = shippedNames.flatMap((name) => [`models/${name}.safetensors`, `models/${name}.md`]);
  const unwanted = /(^|\/)(test|node_modules|build|output)\/|\.(cc|cu|h|tsbuildinfo)$|\.map$/;
  for (const file of files) if (unwanted.test(file)) problems.push(`the package holds ${file}`);
  for (const file of [
    "dist/core.js",
    "dist/entry.js",
    "dist/index.d.ts",
    "dist/commonjs/index.d.ts",
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
  const mega = (/** @type {number} */ bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
  console.log(`${pack.filename}: ${mega(pack.size)} packed, ${mega(pack.unpackedSize)} unpacked, ${files.length} files`);
}
