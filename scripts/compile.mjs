/**
 * `npm run compile`: TypeScript into dist/, and then the modules that `import "cellsam-train"` loads at once into one file, dist/core.js. Each of
 * those modules is then replaced by re-exports from core.js, so that what is loaded later gets the same classes. What tsc alone writes works
 * too, and starts more slowly: opening a module costs Node 20 half a millisecond. `import` takes 12 ms as it is here, 36 ms without the join
 * (62 modules), and 70 ms if nothing were put off (index.js in place of entry.js); medians of 21 on 2 cores, where Node alone starts in 60 ms.
 * `import.meta.url` of a joined module is that of core.js: the one module among them that asks for it, version.js, lies in dist/ itself.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { pathToFileURL } from "node:url";
import { rolldown } from "rolldown";
import { root, run } from "./ready.mjs";
import { writeSettings } from "./settings.mjs";

const dist = join(root, "dist");
const core = join(dist, "core.js");

run(process.execPath, [join(root, "node_modules", "typescript", "bin", "tsc"), "-p", "."]);
await writeSettings(root);
const modules = staticImports(join(dist, "entry.js"));
const names = new Map();
for (const file of modules) names.set(file, Object.keys(await import(pathToFileURL(file))));
writeFileSync(core, await joined());
for (const file of modules) {
  const list = names.get(file).map((name) => `${alias(file, name)} as ${name}`);
  writeFileSync(file, `export { ${list.join(", ")} } from ${JSON.stringify(from(dirname(file), core))};\n`);
}

/** What `module` exports as `name`, among the exports of all. */
function alias(module, name) {
  return `${relative(dist, module).replace(/\.js$/, "").replace(/\W/g, "_")}$${name}`;
}

/** `path` as an import in a file of `folder` writes it. */
function from(folder, path) {
  const way = relative(folder, path).split(sep).join("/");
  return way.startsWith(".") ? way : `./${way}`;
}

/** The text of all modules in one, which exports what each of them does. */
async function joined() {
  const all = "all";
  const exported = modules.map((file) => {
    const list = names.get(file).map((name) => `${name} as ${alias(file, name)}`);
    return `export { ${list.join(", ")} } from ${JSON.stringify(file)};`;
  });
  const plugin = {
    name: all,
    resolveId(id, importer) {
      if (id === all || modules.includes(id)) return id;
      const path = join(dirname(importer), id);
      if (id.startsWith(".") && modules.includes(path)) return path;
      return { id: id.startsWith(".") ? from(dist, path) : id, external: "absolute" };
    },
    load: (id) => (id === all ? exported.join("\n") : null),
  };
  const build = await rolldown({ input: all, platform: "node", plugins: [plugin] });
  const { output } = await build.generate({ format: "esm", codeSplitting: false });
  return output[0].code;
}

/** The modules that importing `file` loads at once, itself last. */
function staticImports(file, seen = new Set()) {
  for (const [, path] of readFileSync(file, "utf8").matchAll(/^(?:import|export)\s(?:[^;]*?\sfrom\s+)?"(\.[^"]+)";$/gm)) {
    const target = join(dirname(file), path);
    if (!seen.has(target)) staticImports(target, seen);
  }
  return [...seen.add(file)];
}
