/** What `npm run release:check` refuses in prebuilt binaries of each system, tried on made-up ones. */
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { resolveLibtorch } from "../../lib/runtime/resolve.js";
import { supportedTorch } from "../../lib/runtime/variants.js";
import { oldestLinux, prebuildProblems } from "../../scripts/binaryCheck.mjs";
import { readElf } from "../../scripts/binaryElf.mjs";
import { root } from "../programs.js";
import { type Made, makeElf, makeMachO, makePe, makesElf, makesOthers, tidy } from "./release-binaries.js";

const folder = mkdtempSync(join(tmpdir(), "cellsam-release-"));
afterAll(() => {
  rmSync(folder, { recursive: true });
  tidy();
});
if (!makesElf) console.warn("SKIPPED: no gcc and readelf, so no Linux binaries are made");
if (!makesOthers) console.warn("SKIPPED: no clang, lld and llvm, so no Windows and macOS binaries are made");

const binding: Made = { exports: ["napi_register_module_v1", "node_api_module_get_api_version_v1"] };
const engine: Made = { exports: ["cellsam_engine"] };

interface System {
  platform: string;
  make(path: string, made: Made): void;
  engineFile: string;
  binding: Made;
  engine: Made;
}
const systems: Record<string, System> = {
  Linux: {
    platform: `linux-${process.arch}`,
    make: makeElf,
    engineFile: "libcellsam_engine-2.13.so",
    binding: { ...binding, needs: ["libc.so.6@GLIBC_2.28", "libstdc++.so.6@GLIBCXX_3.4.25"] },
    engine: { ...engine, needs: ["libtorch_cpu.so", "libc10.so", "libstdc++.so.6@CXXABI_1.3.11", "libgcc_s.so.1@GCC_3.0"] },
  },
  Windows: {
    platform: "win32-x64",
    make: makePe,
    engineFile: "libcellsam_engine-2.13.dll",
    binding: { ...binding, needs: ["KERNEL32.dll", "VCRUNTIME140_1.dll", "MSVCP140.dll"], late: ["node.exe"] },
    engine: { ...engine, needs: ["torch_cpu.dll", "c10.dll", "KERNEL32.dll", "api-ms-win-crt-runtime-l1-1-0.dll"] },
  },
  macOS: {
    platform: "darwin-arm64",
    make: makeMachO,
    engineFile: "libcellsam_engine-2.13.dylib",
    binding: { ...binding, needs: ["/usr/lib/libc++.1.dylib"] },
    engine: { ...engine, needs: ["@rpath/libtorch_cpu.dylib", "@rpath/libc10.dylib", "/usr/lib/libc++.1.dylib"] },
  },
};

/** Puts a binary at `path`; one as it should be is made once. */
function put(name: string, kind: "binding" | "engine", path: string, change?: Partial<Made>): void {
  const { make, ...system } = systems[name] as System;
  const good = join(folder, `${name}-${kind}`);
  if (!change && !existsSync(good)) make(good, system[kind]);
  if (change) make(path, { ...system[kind], ...change });
  else copyFileSync(good, path);
}

/** The problems of a release with these two binaries, each spoilt by what stands in `changes`. */
function problems(name: string, changes: { binding?: Partial<Made>; engine?: Partial<Made> } = {}, wanted = {}): string[] {
  const { platform, engineFile } = systems[name] as System;
  const prebuilds = mkdtempSync(join(folder, "case-"));
  put(name, "binding", join(prebuilds, "binding.node"), changes.binding);
  put(name, "engine", join(prebuilds, engineFile), changes.engine);
  return prebuildProblems(prebuilds, platform, { torches: ["2.13"], ...wanted });
}

describe.each(Object.keys(systems))("the check of %s binaries", (name) => {
  const { platform, engineFile, engine: good } = systems[name] as System;
  const skipped = name === "Linux" ? !makesElf : !makesOthers;
  const whole = `${platform}/${engineFile}`;

  it.skipIf(skipped)("finds nothing wrong with what ours are like", () => {
    expect(problems(name)).toEqual([]);
  });

  it.skipIf(skipped)("misses what is not there, and wants nothing else there", () => {
    expect(problems(name, {}, { torches: ["2.12", "2.13"] })).toEqual([`${whole.replace("2.13", "2.12")} is missing`]);
    expect(problems(name, {}, { torches: [] })).toEqual([`${whole} does not belong there`]);
    const empty = join(folder, "empty");
    expect(prebuildProblems(empty, platform, { torches: ["2.13"] })).toEqual([
      `${platform}/binding.node is missing`,
      `${whole} is missing`,
    ]);
  });

  it.skipIf(skipped).each<[string, Partial<Made>, RegExp]>([
    ["debug information", { debug: true }, /is not stripped$/],
    ["another export", { exports: ["cellsam_engine", "another"] }, /exports another$/],
    ["another entry point", { exports: ["cellsam_engines"] }, /exports cellsam_engines\n.* does not export cellsam_engine$/],
    ["a path of the build machine", { path: "/home/builder/libtorch" }, /remembers a path of the build machine: .*builder/],
    [
      "its source file",
      { text: "at /home/builder/native/engine/a.cc" },
      /names a file of .*: \/home\/builder\/native\/engine\/a\.cc$/,
    ],
    [
      "a source file on a drive",
      { text: "at C:\\builder\\include\\c10\\a.h" },
      /names a file of .*: C:\\builder\\include\\c10\\a\.h$/,
    ],
  ])("refuses an engine with %s", (_, change, expected) => {
    const found = problems(name, { engine: change });
    expect(found.join("\n")).toMatch(expected);
    expect(found.every((text) => text.startsWith(whole))).toBe(true);
    expect(found.length).toBe(expected.source.split("\\n").length);
  });

  it.skipIf(skipped)("lets source files be named by a relative path", () => {
    expect(
      problems(name, { engine: { text: "at cellsam-train/native/engine/a.cc, libtorch/include/c10/a.h, ../native/b.cc" } }),
    ).toEqual([]);
  });

  it.skipIf(skipped)("lets only the engine link libtorch, and nobody another library", () => {
    const [torch = ""] = good.needs ?? [];
    expect(problems(name, { binding: { needs: [torch] } })).toEqual([`${platform}/binding.node needs ${torch}`]);
    const other = torch.replace("torch_cpu", "openblas");
    expect(problems(name, { engine: { needs: [torch, other] } })).toEqual([`${whole} needs ${other}`]);
  });

  it.skipIf(skipped)("says so of a file that is no binary of this system", () => {
    const prebuilds = mkdtempSync(join(folder, "case-"));
    writeFileSync(
      join(prebuilds, "binding.node"),
      "not a binary, though as long as the header of one, or a little longer than that",
    );
    const found = prebuildProblems(prebuilds, platform, { torches: [] });
    expect(found).toEqual([expect.stringMatching(/binding\.node cannot be read: /)]);
  });
});

describe("npm run release:check", () => {
  const check = (...args: string[]) =>
    spawnSync(process.execPath, ["scripts/releaseCheck.mjs", ...args], { cwd: root, encoding: "utf8" });

  it("fails where something is wrong, and says what", () => {
    const { status, stderr } = check("--platform", "darwin-arm64", "--tag", "v99.0.0");
    expect(status).toBe(1);
    expect(stderr).toContain("prebuilds/darwin-arm64/binding.node is missing\n");
    for (const torch of supportedTorch)
      expect(stderr).toContain(`prebuilds/darwin-arm64/libcellsam_engine-${torch}.dylib is missing\n`);
    expect(stderr).toMatch(/the tag v99\.0\.0 is not v\d+\.\d+\.\d+, the package's version/);
    expect(stderr).not.toContain("cuda");
  });

  it("knows which platforms and systems there are", () => {
    expect(check("--platform", "linux-x86")).toMatchObject({
      status: 3,
      stderr: expect.stringContaining("is not one of linux-x64"),
    });
    expect(check("--glibc", "2.17")).toMatchObject({ status: 3, stderr: expect.stringContaining("is not one of 2.28, 2.35") });
  });
});

describe.skipIf(!makesElf)("the oldest Linux", () => {
  it.each([
    ["libc.so.6@GLIBC_2.29", "needs GLIBC 2.29, newer than 2.28"],
    ["libm.so.6@GLIBC_2.100", "needs GLIBC 2.100, newer than 2.28"],
    ["libstdc++.so.6@GLIBCXX_3.4.26", "needs GLIBCXX 3.4.26, newer than 3.4.25"],
    ["libstdc++.so.6@CXXABI_1.3.12", "needs CXXABI 1.3.12, newer than 1.3.11"],
    ["libgcc_s.so.1@GCC_12.0.0", "needs GCC 12.0.0, newer than 7.0.0"],
  ])("does not have %s", (library, expected) => {
    expect(problems("Linux", { binding: { needs: [library] } })).toEqual([`linux-${process.arch}/binding.node ${expected}`]);
  });

  it("may be a newer one, when that is asked for", () => {
    const needs = ["libc.so.6@GLIBC_2.35", "libstdc++.so.6@GLIBCXX_3.4.30"];
    expect(problems("Linux", { binding: { needs } }, { oldest: "2.35" })).toEqual([]);
    expect(problems("Linux", { binding: { needs: ["libc.so.6@GLIBC_2.36"] } }, { oldest: "2.35" })).toHaveLength(1);
  });

  it("is the oldest that libtorch runs on", () => {
    const { needs } = readElf(join(resolveLibtorch().path, "lib", "libtorch_cpu.so")) as { needs: Record<string, string> };
    expect(needs.GLIBC).toBe("2.28");
    const newest = (prefix: "GLIBCXX" | "CXXABI") =>
      [needs[prefix] as string, oldestLinux["2.28"][prefix]].sort((a, b) => a.localeCompare(b, "en", { numeric: true })).at(-1);
    expect(newest("GLIBCXX")).toBe(oldestLinux["2.28"].GLIBCXX);
    expect(newest("CXXABI")).toBe(oldestLinux["2.28"].CXXABI);
  });

  it("is no place for a binary of another machine", () => {
    const prebuilds = mkdtempSync(join(folder, "case-"));
    put("Linux", "binding", join(prebuilds, "binding.node"));
    const arch = process.arch === "x64" ? "arm64" : "x64";
    expect(prebuildProblems(prebuilds, `linux-${arch}`, { torches: [] })).toEqual([
      `linux-${arch}/binding.node is for ${process.arch}, not ${arch}`,
    ]);
  });

  it("wants a CUDA library that links what it is told to, where one is asked for", () => {
    const wanted = { torches: [], cuda: ["2.13-cu13"] };
    const prebuilds = mkdtempSync(join(folder, "case-"));
    put("Linux", "binding", join(prebuilds, "binding.node"));
    const platform = `linux-${process.arch}`;
    const name = `${platform}/libcellsam_cuda-2.13-cu13.so`;
    expect(prebuildProblems(prebuilds, platform, wanted)).toEqual([`${name} is missing`]);
    const needs = ["libtorch_cuda.so", "libc10_cuda.so", "libcudart.so.13"];
    makeElf(join(prebuilds, "libcellsam_cuda-2.13-cu13.so"), { exports: [], needs });
    expect(prebuildProblems(prebuilds, platform, wanted)).toEqual([]);
    makeElf(join(prebuilds, "libcellsam_cuda-2.13-cu13.so"), { exports: ["kernel"], needs: [...needs, "libcublas.so.13"] });
    expect(prebuildProblems(prebuilds, platform, wanted)).toEqual([`${name} needs libcublas.so.13`, `${name} exports kernel`]);
  });
});

describe.skipIf(!makesOthers)("Windows", () => {
  it("lets binding.node load node.exe late, and not at once: Electron is another program", () => {
    expect(problems("Windows", { binding: { needs: ["node.exe"], late: [] } })).toEqual([
      "win32-x64/binding.node needs node.exe",
    ]);
    expect(problems("Windows", { engine: { late: ["node.exe"] } })).toEqual([
      "win32-x64/libcellsam_engine-2.13.dll needs node.exe later on",
    ]);
  });

  it("is refused the binary of another machine", () => {
    expect(problems("Windows", { engine: { target: "aarch64-pc-windows-msvc" } })).toEqual([
      "win32-x64/libcellsam_engine-2.13.dll is for arm64, not x64",
    ]);
  });
});

describe.skipIf(!makesOthers)("macOS", () => {
  const name = "darwin-arm64/libcellsam_engine-2.13.dylib";

  it("is as old as promised", () => {
    expect(problems("macOS", { engine: { target: "arm64-apple-macos14.4" } })).toEqual([
      `${name} needs macOS 14.4, newer than 14.0`,
    ]);
    expect(problems("macOS", { engine: { target: "arm64-apple-macos13" } })).toEqual([]);
  });

  it("demands a signature", () => {
    expect(problems("macOS", { engine: { unsigned: true } })).toEqual([`${name} is not signed, which macOS demands on arm64`]);
  });

  it("is refused the binary of another machine", () => {
    expect(problems("macOS", { engine: { target: "x86_64-apple-macos14" } })).toContain(`${name} is for x64, not arm64`);
  });
});
