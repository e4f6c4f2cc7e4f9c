// What Windows does otherwise, tried on every system where the rule is a function of its own, and on Windows alone where it is not.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { rename } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ExperimentConfig } from "../../lib/config/experiment.js";
import { nameProblem } from "../../lib/config/fileName.js";
import { readConfigFile } from "../../lib/config/load.js";
import { discover } from "../../lib/data/discover.js";
import { replaceFile } from "../../lib/files/replaceFile.js";
import { writeAtomic } from "../../lib/files/writeAtomic.js";
import { predictFolder } from "../../lib/predict/folder.js";
import { endedBy } from "../../lib/processEnd.js";
import { diagnose } from "../../lib/runtime/doctor.js";
import { engineTorch } from "../../lib/runtime/engine.js";
import { isNoPython, pythonCommands } from "../../lib/runtime/python.js";
import { keptAs } from "../../lib/runtime/unpack.js";
import { archiveUrl } from "../../lib/runtime/variants.js";
import { OutputTree } from "../../lib/train/outputTree.js";

const windows = process.platform === "win32";
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cellsam-windows-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("a file that somebody has open", () => {
  /** A rename that fails so many times with `code` before it works. */
  function failing(times: number, code: string) {
    const calls: string[] = [];
    const move = async (from: unknown, to: unknown) => {
      calls.push(code);
      if (calls.length <= times) throw Object.assign(new Error(code), { code });
      await rename(from as string, to as string);
    };
    return { calls, move };
  }
  const pauses: number[] = [];
  const pause = async (milliseconds: number) => void pauses.push(milliseconds);
  beforeEach(() => pauses.splice(0));
  const paths = () => {
    writeFileSync(join(folder, "new"), "new");
    writeFileSync(join(folder, "old"), "old");
    return [join(folder, "new"), join(folder, "old")] as const;
  };

  it.each(["EPERM", "EACCES", "EBUSY"])("is replaced when it is let go: %s", async (code) => {
    const { calls, move } = failing(3, code);
    await replaceFile(...paths(), { move, platform: "win32", pause });
    expect(calls).toHaveLength(4);
    expect(readFileSync(join(folder, "old"), "utf8")).toBe("new");
  });

  it("is not waited for without end, nor for another fault, nor where renaming needs no waiting", async () => {
    const held = failing(1000, "EPERM");
    await expect(replaceFile(...paths(), { move: held.move, platform: "win32", pause })).rejects.toMatchObject({
      code: "EPERM",
    });
    expect(held.calls).toHaveLength(10);
    expect(pauses.reduce((sum, one) => sum + one, 0)).toBeLessThan(3000);
    for (const [code, platform] of [
      ["ENOSPC", "win32"],
      ["EPERM", "linux"],
    ] as const) {
      const { calls, move } = failing(1, code);
      await expect(replaceFile(...paths(), { move, platform, pause })).rejects.toMatchObject({ code });
      expect(calls).toHaveLength(1);
    }
  });

  it("leaves nothing beside it when it cannot be written", async () => {
    mkdirSync(join(folder, "taken"));
    await expect(writeAtomic(join(folder, "taken"), "text")).rejects.toMatchObject({ code: "ERR_FILE" });
    expect(readdirSync(folder)).toEqual(["taken"]);
  });
});

describe("names", () => {
  it.each([
    "run:1",
    "what?",
    "a*b",
    "a<b",
    'say "no"',
    "a|b",
    "line\nbreak",
    "con",
    "NUL.txt",
    "Com1",
    "lpt9.a.b",
    "end.",
    "end ",
  ])("that Windows forbids: %j", (name) => {
    expect(nameProblem(name, "win32")).toMatch(/^must be a name that Windows allows/);
    expect(nameProblem(name, "linux")).toBeNull();
  });

  it.each(["first", "conrad", "com10", "null", "a.b", ".hidden", "Größe 3 µm"])("that it allows: %j", (name) => {
    expect(nameProblem(name, "win32")).toBeNull();
  });

  it.runIf(windows)("of experiments are refused before anything is written", () => {
    const config = { imgPath: "images", maskPath: "masks", outputName: "first: try" };
    expect(() => new ExperimentConfig(config)).toThrow(/outputName.*Windows allows, without ":"/);
  });
});

describe("paths in configuration files", () => {
  const read = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return readConfigFile(join(folder, name));
  };

  it("with backslashes in double quotes are explained", async () => {
    await expect(read("a.yaml", 'img_path: "C:\\data"\n')).rejects.toThrow(/does not parse[\s\S]*write paths with \//);
    await expect(read("a.json", '{ "img_path": "C:\\data" }')).rejects.toThrow(/does not parse[\s\S]*write paths with \//);
    const config = await read("b.yaml", 'img_path: "C:\\new"\nmask_path: masks\noutput_name: a\n');
    expect(() => new ExperimentConfig(config as never)).toThrow(/imgPath.*backslash begins an escape/);
    const plain = "img_path: C:\\new data\\images\r\nmask_path: 'D:\\masks'\r\noutput_name: a\r\n";
    expect(await read("c.yaml", plain)).toEqual({ imgPath: "C:\\new data\\images", maskPath: "D:\\masks", outputName: "a" });
  });
});

describe("processes", () => {
  it("tell how they ended by a signal or by a status", () => {
    expect(endedBy(null, "SIGKILL")).toBe("SIGKILL");
    expect(endedBy(0xc0000005, null)).toBe("an access violation (0xc0000005)");
    expect(endedBy(0xc0000135, null)).toBe("a library that is missing (0xc0000135)");
    expect(endedBy(0xc0000999, null)).toBe("an error of the system (0xc0000999)");
    for (const code of [0, 1, 75, 255, null]) expect(endedBy(code, null)).toBeNull();
  });

  it("of Python are started by the names that the system has for it", () => {
    expect(pythonCommands({}, "linux")).toEqual([["python3"], ["python"]]);
    expect(pythonCommands({}, "win32")).toEqual([["python"], ["py", "-3"]]);
    expect(pythonCommands({ PYTHON: "C:\\my\\python.exe" }, "win32")).toEqual([["C:\\my\\python.exe"]]);
    expect(isNoPython({ code: "ENOENT" })).toBe(true);
    expect(isNoPython({ code: 9009 })).toBe(true);
    expect(isNoPython({ code: 1 })).toBe(false);
  });
});

describe("libtorch and the engine", () => {
  it("have the names of libraries there", () => {
    expect(engineTorch("C:/cellsam/libcellsam_engine-2.13.dll")).toBe("2.13");
    expect(engineTorch("libcellsam_engine-2.13.lib")).toBeNull();
  });

  it("keep every DLL that is loaded, and to build with the three import libraries", () => {
    const kept = (headers: boolean) =>
      ["asmjit", "c10", "fbgemm", "libiomp5md", "shm", "torch_cpu", "torch_python", "uv"]
        .map((name) => `lib/${name}.dll`)
        .concat(["c10", "dnnl", "torch", "torch_cpu", "torch_python"].map((name) => `lib/${name}.lib`))
        .concat("include/ATen/ATen.h", "build-version", "bin/protoc.exe", "share/cmake/Torch/TorchConfig.cmake")
        .filter((name) => keptAs(name, headers) !== null);
    const loaded = ["lib/asmjit.dll", "lib/c10.dll", "lib/fbgemm.dll", "lib/libiomp5md.dll", "lib/torch_cpu.dll", "lib/uv.dll"];
    expect(kept(false)).toEqual([...loaded, "build-version"]);
    const linked = ["lib/c10.lib", "lib/torch.lib", "lib/torch_cpu.lib"];
    expect(kept(true)).toEqual([...loaded, ...linked, "include/ATen/ATen.h", "build-version"]);
  });

  it("come from PyTorch's archives, with CUDA too", () => {
    const of = (variant: "cpu" | "cu126" | "cu130") => archiveUrl(variant, "win32-x64", "2.13.0");
    const base = "https://download.pytorch.org/libtorch";
    expect(of("cpu")).toBe(`${base}/cpu/libtorch-win-shared-with-deps-2.13.0%2Bcpu.zip`);
    expect(of("cu130")).toBe(`${base}/cu130/libtorch-win-shared-with-deps-2.13.0%2Bcu130.zip`);
  });

  it("need the Visual C++ runtime, and doctor has the command for it", async () => {
    const machine = { platform: "win32", arch: "x64", glibc: null };
    const probe = join(folder, "probe.mjs");
    writeFileSync(probe, 'console.error("The specified module could not be found."); process.exitCode = 1;');
    const options = { packageRoot: folder, probe, machine };
    const env = { PATH: process.env.PATH, CELLSAM_CACHE: join(folder, "empty"), SystemRoot: folder };
    const checks = async () => {
      const { checks } = await diagnose({ ...options, env });
      return Object.fromEntries(checks.map((check) => [check.name, check]));
    };
    mkdirSync(join(folder, "System32"));
    writeFileSync(join(folder, "System32", "vcruntime140.dll"), "");
    const without = await checks();
    const mend = expect.stringMatching(/^winget install .*Microsoft\.VCRedist\.2015\+\.x64$/);
    expect(without.runtime).toMatchObject({
      ok: false,
      found: expect.stringContaining("vcruntime140_1.dll, msvcp140.dll"),
      mend,
    });
    expect(without.binding).toMatchObject({ ok: false, mend });
    for (const name of ["vcruntime140_1.dll", "msvcp140.dll"]) writeFileSync(join(folder, "System32", name), "");
    const { runtime, binding } = await checks();
    expect(runtime).toMatchObject({ ok: true });
    expect(binding?.mend).toContain("npm install");
  });
});

describe.runIf(windows)("folders", () => {
  it("of another drive lie outside", () => {
    expect(new OutputTree("C:\\out", "run").holds("D:\\images")).toBe(false);
    expect(new OutputTree("C:\\out", "run").holds("c:\\OUT\\Run\\images")).toBe(true);
  });

  it("hold one file by every spelling of its name, which no label image replaces", async () => {
    writeFileSync(join(folder, "a.TIF"), "an image");
    const predicted = predictFolder(folder, { weights: "weights.pth" }, { outputDir: folder, overwrite: true });
    await expect(predicted).rejects.toThrow(/is an image and would become its own label image/);
  });

  it("are one folder in any case of their letters", async () => {
    for (const name of ["a.png", "a_masks.png"]) writeFileSync(join(folder, name), "");
    const { pairs, problems } = await discover({ imgPath: folder, maskPath: folder.toUpperCase() });
    expect(problems).toEqual([]);
    expect(pairs).toMatchObject([{ source: "a", mask: join(folder, "a_masks.png") }]);
  });
});
