/**
 * `npm run compile`: TypeScript into dist/, and then what `import "cellsam-train"` loads at once into one file. To open a module costs Node a
 * third of a millisecond and each import in it a tenth, more than their content does. Of those modules re-exports stay behind, so that whoever
 * names one of them, like all that is loaded later, gets the same classes. What tsc alone writes works too, and starts more slowly.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { pathToFileURL } from "node:url";
import { rolldown } from "rolldown";
import { root, run } from "./ready.mjs";

const dist = join(root, "dist");
const core = join(dist, "core.js");

run(process.execPath, [join(root, "node_modules", "typescript", "bin", "tsc"), "-p", "."]);
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
