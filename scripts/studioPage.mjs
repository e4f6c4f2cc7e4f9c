/**
 * The page of `cellsam studio` into dist/studio/: the modules of lib/studio/page with their libraries as one file, the
 * style sheets as another, and the HTML that loads both. `npm run compile` calls it.
 */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { rolldown } from "rolldown";
import { root } from "./ready.mjs";

const source = join(root, "lib", "studio", "page");
const target = join(root, "dist", "studio", "page");
/** Bytes of the script: a page that opens at once through a slow tunnel too. */
const MOST = 300_000;

export async function writeStudioPage() {
  mkdirSync(target, { recursive: true });
  const build = await rolldown({
    input: join(source, "main.tsx"),
    platform: "browser",
    tsconfig: join(source, "tsconfig.json"),
    resolve: { extensionAlias: { ".js": [".ts", ".tsx", ".js"] } },
  });
  const script = join(target, "studio.js");
  await build.write({ file: script, format: "esm", minify: true, codeSplitting: false });
  await build.close();
  if (statSync(script).size > MOST) throw new Error(`${script} has ${statSync(script).size} bytes, more than ${MOST}`);

  const styles = join(source, "style");
  const sheets = readdirSync(styles)
    .sort()
    .map((name) => join(styles, name));
  const ofPlot = join(root, "node_modules", "uplot", "dist", "uPlot.min.css");
  writeFileSync(join(target, "studio.css"), [ofPlot, ...sheets].map((path) => readFileSync(path, "utf8")).join("\n"));
  copyFileSync(join(source, "index.html"), join(target, "index.html"));
}
