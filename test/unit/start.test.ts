// What `import "cellsam-train"` may load. Times are for the bench; what costs time is named here: packages, native binaries, parts of Node.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import * as entry from "../../lib/entry.js";
import * as index from "../../lib/index.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "cellsam-start-"));
afterAll(() => rmSync(folder, { recursive: true }));

interface Loaded {
  /** ES modules, as URLs. */
  modules: string[];
  /** CommonJS modules. */
  required: string[];
  /** Shared libraries. */
  libraries: string[];
  builtins: string[];
}

const facts = `{
  required: Object.keys((await import("node:module")).createRequire(import.meta.url).cache),
  libraries: process.report.getReport().sharedObjects,
  builtins: process.moduleLoadList,
}`;

/** What a program of one line has loaded at its end. */
function loaded(line: string, script = `${line}\nconsole.log(JSON.stringify(${facts}))`): Loaded {
  const list = join(folder, `${Math.random()}.txt`);
  const hook = `import { appendFileSync } from "node:fs";
    export const load = (url, context, next) => (appendFileSync(${JSON.stringify(list)}, url + "\\n"), next(url, context));`;
  const register = `import { register } from "node:module"; register(${JSON.stringify(dataUrl(hook))});`;
  writeFileSync(list, "");
  const run = (...flags: string[]) =>
    JSON.parse(
      execFileSync(process.execPath, [...flags, "--input-type=module", "-e", script], { cwd: root, encoding: "utf8" }),
    );
  run("--import", dataUrl(register));
  const modules = readFileSync(list, "utf8").trim().split("\n");
  return { ...run(), modules: modules.filter((url) => !url.startsWith("data:")) };
}

const dataUrl = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`;

describe("an import of the package", () => {
  const before = loaded("");
  const after = loaded('await import("cellsam-train");');
  const own = after.modules.filter((url) => !before.modules.includes(url) && url.startsWith("file:"));

  it("loads no other package", () => {
    expect(own.length).toBeGreaterThan(0);
    expect(own.filter((url) => url.includes("/node_modules/"))).toEqual([]);
    expect(after.required).toEqual(before.required);
  });

  it("loads no native binary", () => {
    expect(after.libraries.filter((path) => /\.node$|torch|cellsam/.test(path))).toEqual([]);
  });

  it("leaves alone the parts of Node that only some programs need", () => {
    const more = after.builtins.filter((name) => !before.builtins.includes(name));
    for (const part of ["child_process", "crypto", "http", "net", "worker_threads", "zlib"])
      expect(more).not.toContain(`NativeModule ${part}`);
  });

  it("loads none of the rooms that decode, train, search, draw and download", () => {
    expect(own.length).toBeLessThan(70);
    const late =
      /dist\/(data\/(formats|decode|discover)|report\/(charts|canvas|rasterize|html)|(train|predict)\/(stage|fold|folder)|plan\/|runtime\/(setup|download)|search\/run|studio\/)/;
    expect(own.filter((url) => late.test(url))).toEqual([]);
  });

  it("would be caught at a package", () => {
    const caught = loaded('await import("cellsam-train"); await import("zod");');
    expect(caught.modules.some((url) => url.includes("/node_modules/zod/"))).toBe(true);
  });
});

describe("the entry", () => {
  const told = (script: string): unknown =>
    JSON.parse(execFileSync(process.execPath, ["--input-type=module", "-e", script], { cwd: root, encoding: "utf8" }));

  it("has the names of index.ts, and their types", () => {
    // Does not compile where a type differs.
    const same: typeof index = entry;
    expect(Object.keys(same).sort()).toEqual(Object.keys(index).sort());
    const names = told('console.log(JSON.stringify(Object.keys(await import("cellsam-train"))))');
    expect(names).toEqual(Object.keys(index).sort());
  });

  it("shares its classes with what is loaded later", () => {
    const script = `
      import { CellsamError, ExperimentConfig, evaluateFolders, openPredictor } from "cellsam-train";
      const kept = (error) => [error instanceof CellsamError, error.code];
      const config = (() => { try { new ExperimentConfig({}); } catch (error) { return kept(error); } })();
      const predictor = await openPredictor({}).catch(kept);
      const folders = await evaluateFolders("/none", "/none").catch(kept);
      console.log(JSON.stringify({ config, predictor, folders }));`;
    expect(told(script)).toEqual({
      config: [true, "ERR_CONFIG"],
      predictor: [true, "ERR_CONFIG"],
      folders: [true, expect.stringMatching(/^ERR_/)],
    });
  });
});
