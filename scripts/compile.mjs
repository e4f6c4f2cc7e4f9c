/**
 * `npm run compile`: TypeScript into dist/, and then the modules that `import "cellsam-train"` loads at once into one file,
 * dist/core.js. Each of those modules is then replaced by re-exports from core.js, so that what is loaded later gets the same
 * classes. What tsc alone writes works too, and starts more slowly: opening a module costs Node 20 half a millisecond. `import`
 * takes 12 ms as it is here, 44 ms without the join (73 modules), and 83 ms if nothing were deferred (index.js in place of
 * entry.js); medians of 21 on 2 cores, where Node alone starts in 60 ms. `import.meta.url` of a joined module is that of
 * core.js: the one module among them that asks for it, version.js, is in dist/ itself.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { pathToFileURL } from "node:url";
import { rolldown } from "rolldown";
import { root, run } from "./ready.mjs";
import { writeSettings } from "./settings.mjs";
import { writeStudioPage } from "./studioPage.mjs";

const dist = join(root, "dist");
const core = join(dist, "core.js");

run(process.execPath, [join(root, "node_modules", "typescript", "bin", "tsc"), "-p", "tsconfig.build.json"]);
await writeSettings(root);
await writeStudioPage();
copyDeclarations();
const modules = staticImports(join(dist, "entry.js"));
/** @type {Map<string, string[]>} */
const names = new Map();
for (const file of modules) names.set(file, Object.keys(await import(pathToFileURL(file).href)));
writeFileSync(core, await joined());
for (const file of modules) {
  const list = exportsOf(file).map((name) => `${alias(file, name)} as ${name}`);
  writeFileSync(file, `export { ${list.join(", ")} } from ${JSON.stringify(from(dirname(file), core))};\n`);
}

/**
 * Copies the public declarations into a folder of CommonJS: the compiler lets CommonJS programs import no declarations of an ES
 * module, though Node lets them require one.
 */
function copyDeclarations() {
  const folder = join(dist, "commonjs");
  for (const file of declarationsOf(join(dist, "index.d.ts"))) {
    const copy = join(folder, relative(dist, file));
    mkdirSync(dirname(copy), { recursive: true });
    writeFileSync(copy, readFileSync(file, "utf8"));
  }
  writeFileSync(join(folder, "package.json"), '{ "type": "commonjs" }\n');
}

/**
 * A file of declarations and those that it needs.
 * @param {string} file
 * @returns {Set<string>}
 */
function declarationsOf(file, /** @type {Set<string>} */ seen = new Set()) {
  seen.add(file);
  for (const [, path = ""] of readFileSync(file, "utf8").matchAll(/(?:from |import\()"(\.[^"]+)\.js"/g)) {
    const target = join(dirname(file), `${path}.d.ts`);
    if (!seen.has(target)) declarationsOf(target, seen);
  }
  return seen;
}

/** @param {string} file */
function exportsOf(file) {
  return names.get(file) ?? [];
}

/**
 * The name in core.js of the export `name` of `module`.
 * @param {string} module
 * @param {string} name
 */
function alias(module, name) {
  return `${relative(dist, module).replace(/\.js$/, "").replace(/\W/g, "_")}$${name}`;
}

/**
 * The specifier by which a file of `folder` imports `path`.
 * @param {string} folder
 * @param {string} path
 */
function from(folder, path) {
  const way = relative(folder, path).split(sep).join("/");
  return way.startsWith(".") ? way : `./${way}`;
}

/** The code of all modules as one, with the exports of each of them. */
async function joined() {
  const all = "all";
  const exported = modules.map((file) => {
    const list = exportsOf(file).map((name) => `${name} as ${alias(file, name)}`);
    return `export { ${list.join(", ")} } from ${JSON.stringify(file)};`;
  });
  /** @type {import("rolldown").Plugin} */
  const plugin = {
    name: all,
    resolveId(id, importer) {
      if (id === all || modules.includes(id)) return id;
      const path = join(dirname(importer ?? dist), id);
      if (id.startsWith(".") && modules.includes(path)) return path;
      return { id: id.startsWith(".") ? from(dist, path) : id, external: "absolute" };
    },
    load: (id) => (id === all ? exported.join("\n") : null),
  };
  const build = await rolldown({ input: all, platform: "node", plugins: [plugin] });
  const { output } = await build.generate({ format: "esm", codeSplitting: false });
  return output[0].code;
}

/**
 * The modules that an import of `file` loads at once, `file` last.
 * @param {string} file
 * @returns {string[]}
 */
function staticImports(file, /** @type {Set<string>} */ seen = new Set()) {
  for (const [, path = ""] of readFileSync(file, "utf8").matchAll(/^(?:import|export)\s(?:[^;]*?\sfrom\s+)?"(\.[^"]+)";$/gm)) {
    const target = join(dirname(file), path);
    if (!seen.has(target)) staticImports(target, seen);
  }
  return [...seen.add(file)];
}
