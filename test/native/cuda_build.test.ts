// libcellsam_cuda as far as a machine without a GPU can tell: that its kernels compile, that the library was built for every GPU
// that it promises, and that the engine finds its operators. Each part needs a tool that not every machine has.
import { execFile, execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { engineCall } from "../../lib/engine/native.js";
import { root } from "../programs.js";
import { gpusOf } from "./fatbin.js";

const has = (command: string) => spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;
const kernels = readdirSync(join(root, "native", "cuda")).filter((name) => name.endsWith(".cu"));
if (!has("nvcc")) console.warn("SKIPPED: nvcc is not here, so no kernel is compiled");

describe.skipIf(!has("nvcc"))("nvcc", () => {
  // One architecture and no library: what takes minutes is left to the build.
  it.each(kernels)("compiles %s", async (name) => {
    const folder = mkdtempSync(join(tmpdir(), "cellsam-nvcc-"));
    try {
      const flags = ["-std=c++20", "-arch=sm_80", "-Werror=all-warnings", `-I${join(root, "native")}`];
      const run = promisify(execFile)("nvcc", [
        ...flags,
        "-c",
        join(root, "native", "cuda", name),
        "-o",
        join(folder, "out.o"),
      ]);
      expect((await run).stderr).toBe("");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

/** The architectures of library.cmake. */
const promised = (
  /CELLSAM_CUDA_ARCHITECTURES "([\d;]+)"/.exec(readFileSync(join(root, "native/cuda/library.cmake"), "utf8"))?.[1] ?? ""
)
  .split(";")
  .map(Number);

function nvccKnows(architecture: number): boolean {
  return spawnSync("nvcc", ["--list-gpu-arch"], { encoding: "utf8" }).stdout.includes(`compute_${architecture}\n`);
}

// The lists of download.pytorch.org's builds for CUDA 12.6, 12.8 and 13.0, as torch.cuda.get_arch_list() gives them.
it("promises code for every GPU that PyTorch's builds support", () => {
  expect(promised).toEqual(expect.arrayContaining([50, 60, 70, 75, 80, 86, 90, 100, 120]));
});

describe("a libtorch without CUDA", () => {
  const cuda = existsSync(join(process.env.CELLSAM_LIBTORCH ?? "", "lib", "libtorch_cuda.so"));
  it.skipIf(cuda)("has no kernels of ours, and that is no error", () => {
    expect(engineCall<{ cuda_kernels: unknown }>("info").cuda_kernels).toBe("this libtorch has no CUDA");
  });
});

const release = join(root, "build", "Release");
const library = process.env.CELLSAM_CUDA_LIBRARY ?? built();
if (!library) console.warn("SKIPPED: libcellsam_cuda is not built (npm run build -- --cuda --libtorch FOLDER)");

function built(): string | undefined {
  const name = existsSync(release) ? readdirSync(release).find((file) => /^libcellsam_cuda-.*\.so$/.test(file)) : undefined;
  return name && join(release, name);
}

describe.skipIf(!library)("libcellsam_cuda", () => {
  const read = (command: string, ...args: string[]) =>
    execFileSync(command, [...args, library as string], { encoding: "utf8" });

  it("exports nothing of its own, and remembers no path", () => {
    expect(read("readelf", "-d")).not.toMatch(/RUNPATH|RPATH/);
    expect(read("nm", "-D", "--defined-only")).not.toMatch(/cellsam/);
  });

  it("holds code for every GPU that it promises, and PTX for newer ones", () => {
    const [newest, ...others] = promised.filter((architecture) => nvccKnows(architecture)).sort((a, b) => b - a);
    const codes = [`compute_${newest}`, `sm_${newest}`, ...others.map((architecture) => `sm_${architecture}`)];
    expect(gpusOf(readFileSync(library as string))).toEqual(codes.sort());
  });

  // The engine of the same torch version beside it, with that libtorch: loads without a GPU up to the first allocation.
  const libtorch = process.env.CELLSAM_CUDA_LIBTORCH;
  if (library && !libtorch) console.warn("SKIPPED: CELLSAM_CUDA_LIBTORCH names no CUDA libtorch to load the engine with");
  it.skipIf(!libtorch)("gives the engine its operators, unless that is told to do without", async () => {
    const script =
      `import(${JSON.stringify(join(root, "dist", "engine", "native.js"))}).then((native) => ` +
      `console.log(JSON.stringify(native.engineCall("info").cuda_kernels)))`;
    const engine = (library as string).replace("cellsam_cuda", "cellsam_engine").replace(/-cu\d+\.so$/, ".so");
    const ask = async (env: Record<string, string> = {}) => {
      const all = { ...process.env, CELLSAM_LIBTORCH: libtorch, CELLSAM_ENGINE: engine, ...env };
      return JSON.parse((await promisify(execFile)(process.execPath, ["-e", script], { env: all })).stdout) as unknown;
    };
    expect(dirname(engine)).toBe(dirname(library as string));
    const graph = ["graph_begin", "graph_close", "graph_end", "graph_replay"];
    const kernels = ["mask_losses", "mask_losses_usable", "row_column", "row_column_backward", "row_column_usable"];
    expect(((await ask()) as string[]).sort()).toEqual([...graph, ...kernels]);
    expect(await ask({ CELLSAM_CUDA_KERNELS: "0" })).toContain("CELLSAM_CUDA_KERNELS=0");
  });
});
