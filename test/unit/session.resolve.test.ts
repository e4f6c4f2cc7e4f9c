// Where libtorch is looked for, and which engine goes with it. Folders are faked; nothing is loaded.
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { resolveEngine } from "../../lib/runtime/engine.js";
import { type LibtorchSource, libraryName, libtorchVersion, resolveLibtorch } from "../../lib/runtime/resolve.js";

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "resolve-"));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

function torch(path: string, files: Record<string, string>): string {
  const folder = join(home, path);
  for (const [name, text] of Object.entries({ [`lib/${libraryName("torch_cpu")}`]: "", ...files })) {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

describe("resolveLibtorch", () => {
  test("option, then CELLSAM_LIBTORCH, then LIBTORCH, then the cache", () => {
    const [a, b, c] = ["a", "b", "c"].map((name) => torch(name, { "build-version": "2.13.1+cpu\n" }));
    const cached = torch(".cache/cellsam-train/libtorch/2.13.0-cpu", { "READY.json": "{}" });
    const env = { HOME: home, CELLSAM_LIBTORCH: b, LIBTORCH: c };
    expect(resolveLibtorch({ libtorch: a, env })).toEqual({ path: a, version: "2.13.1", variant: "cpu", source: "option" });
    expect(resolveLibtorch({ env })).toMatchObject({ path: b, source: "CELLSAM_LIBTORCH" });
    expect(resolveLibtorch({ env: { HOME: home, LIBTORCH: c } })).toMatchObject({ path: c, source: "LIBTORCH" });
    if (process.platform !== "linux") return;
    expect(resolveLibtorch({ env: { HOME: home } })).toEqual({
      path: cached,
      version: "2.13.0",
      variant: "cpu",
      source: "cache",
    });
    expect(resolveLibtorch({ env: { HOME: home, XDG_CACHE_HOME: "relative" } }).path).toBe(cached);
  });

  test("the cache gives the pinned version first, and never a half-written folder", () => {
    const env = { CELLSAM_CACHE: join(home, "cache") };
    torch("cache/libtorch/2.13.0-cu126", {});
    torch("cache/libtorch/2.14.0-cpu", { "READY.json": "{}" });
    expect(resolveLibtorch({ env }).version).toBe("2.14.0");
    const older = torch("cache/libtorch/2.13.0-cpu", { "READY.json": "{}" });
    utimesSync(join(older, "READY.json"), 1, 1);
    expect(resolveLibtorch({ env })).toMatchObject({ version: "2.13.0", variant: "cpu" });
  });

  test("what was named and is wrong is an error that says where it looked", () => {
    torch(".cache/cellsam-train/libtorch/2.13.0-cpu", { "READY.json": "{}" });
    const env = { HOME: home, CELLSAM_LIBTORCH: join(home, "nowhere") };
    expect(() => resolveLibtorch({ env })).toThrow(
      expect.objectContaining({ code: "ERR_LIBTORCH_NOT_FOUND", message: expect.stringContaining(join(home, "nowhere")) }),
    );
    expect(() => resolveLibtorch({ env })).toThrow("Correct what CELLSAM_LIBTORCH names, or leave it out.");
    expect(() => resolveLibtorch({ env: { HOME: join(home, "empty") } })).toThrow(/Type: npx cellsam setup\n/);
    expect(() => resolveLibtorch({ env: { PYTHON: join(home, "no-python"), LIBTORCH_USE_PYTORCH: "1" } })).toThrow("no Python");
    const silent = torch("silent", {});
    expect(() => resolveLibtorch({ libtorch: silent, env: {} })).toThrow(
      expect.objectContaining({ code: "ERR_LIBTORCH_VERSION" }),
    );
  });

  test("the version is read from any of its three places", () => {
    expect(libtorchVersion(torch("x", { "version.py": "__version__ = '2.12.1+cu126'\n" }))).toBe("2.12.1+cu126");
    const header = "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 14\n#define TORCH_VERSION_PATCH 0\n";
    expect(libtorchVersion(torch("y", { "include/torch/headeronly/version.h": header }))).toBe("2.14.0");
    expect(libtorchVersion(torch("z", {}))).toBeNull();
  });
});

describe("resolveEngine", () => {
  const libtorch = { path: "/t", version: "2.13.1", variant: "cpu", source: "option" } as const;

  test("takes the engine of the same major.minor", () => {
    const folder = join(home, "build", "Release");
    mkdirSync(folder, { recursive: true });
    for (const minor of ["2.12", "2.13", "2.1"]) writeFileSync(join(folder, `libcellsam_engine-${minor}.so`), "");
    expect(resolveEngine(home, libtorch)).toEqual({ path: join(folder, "libcellsam_engine-2.13.so"), torch: "2.13" });
    expect(() => resolveEngine(home, { ...libtorch, version: "2.14.0" })).toThrow(
      expect.objectContaining({ code: "ERR_LIBTORCH_VERSION", detail: expect.objectContaining({ version: "2.14.0" }) }),
    );
  });

  test("says to unset what names a libtorch that does not fit, as setup alone would change nothing", () => {
    mkdirSync(join(home, "build", "Release"), { recursive: true });
    writeFileSync(join(home, "build", "Release", "libcellsam_engine-2.12.so"), "");
    const named = (source: LibtorchSource) => () => resolveEngine(home, { ...libtorch, source });
    expect(named("CELLSAM_LIBTORCH")).toThrow("Run `npx cellsam setup` and unset CELLSAM_LIBTORCH for one that fits");
    expect(named("option")).toThrow("Run `npx cellsam setup` and leave out the option libtorch for one that fits");
    expect(named("cache")).toThrow("Run `npx cellsam setup` for one that fits");
  });

  test("no engine at all is a broken installation", () => {
    expect(() => resolveEngine(home, libtorch)).toThrow(expect.objectContaining({ code: "ERR_NATIVE_LOAD" }));
  });
});
