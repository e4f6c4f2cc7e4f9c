// What a Linux library needs, against readelf; and which libraries of CUDA a libtorch lacks.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { neededLibraries } from "../../lib/runtime/elf.js";
import { missingCudaLibraries } from "../../lib/runtime/libraries.js";
import { resolveLibtorch } from "../../lib/runtime/resolve.js";
import { setupLibtorch } from "../../lib/runtime/setup.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cellsam-libraries-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A library called `name` in `lib`, linked against others there. */
function library(lib: string, name: string, ...needed: string[]): void {
  const source = join(folder, "empty.c");
  writeFileSync(source, "");
  const linked = needed.map((other) => join(lib, other));
  execFileSync("cc", [
    "-shared",
    "-fPIC",
    "-Wl,--no-as-needed",
    `-Wl,-soname,${name}`,
    source,
    ...linked,
    "-o",
    join(lib, name),
  ]);
}

describe.skipIf(process.platform !== "linux")("needed libraries", () => {
  it.skipIf(spawnSync("readelf", ["--version"]).error)("are those that readelf lists", () => {
    const lib = join(resolveLibtorch().path, "lib");
    const files = readdirSync(lib).map((name) => join(lib, name));
    expect(files.length).toBeGreaterThan(3);
    for (const path of [...files, process.execPath]) {
      const listed = execFileSync("readelf", ["-d", path], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
      expect(neededLibraries(path), path).toEqual([...listed.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, name]) => name));
    }
  });

  it("are not known of other files, however damaged", () => {
    const lib = join(folder, "lib");
    mkdirSync(lib);
    library(lib, "liba.so");
    library(lib, "libb.so", "liba.so");
    const whole = readFileSync(join(lib, "libb.so"));
    expect(neededLibraries(join(lib, "libb.so"))?.[0]).toBe("liba.so");
    const damaged = join(folder, "damaged.so");
    for (let cut = 0; cut < whole.length; cut += 97) {
      writeFileSync(damaged, whole.subarray(0, cut));
      neededLibraries(damaged); // ends, and does not throw
    }
    // Sizes and offsets that no file has.
    for (let at = 16; at < 0x400; at += 8) {
      const bytes = Buffer.from(whole);
      bytes.writeBigUInt64LE(0xfffffffffffff0n, at);
      writeFileSync(damaged, bytes);
      neededLibraries(damaged);
    }
    writeFileSync(damaged, "no library");
    expect(neededLibraries(damaged)).toBeNull();
  });
});

describe.skipIf(process.platform !== "linux")("a libtorch of a wheel", () => {
  /** As pip unpacks torch: CUDA's libraries lie elsewhere. Their versions are ones that no machine has installed. */
  function wheel(...beside: string[]): string {
    const lib = join(folder, "torch", "lib");
    mkdirSync(lib, { recursive: true });
    writeFileSync(join(folder, "torch", "build-version"), "2.13.0+cu130\n");
    const cuda = ["libcudart.so.99", "libcudnn.so.99", "libnccl.so.99", "libcuda.so.1", "libother.so.1"];
    for (const name of cuda) library(lib, name);
    library(lib, "libc10_cuda.so", "libcudart.so.99");
    library(lib, "libtorch_cuda.so", "libc10_cuda.so", "libcudnn.so.99", "libnccl.so.99", "libcuda.so.1", "libother.so.1");
    library(lib, "libtorch_cpu.so");
    for (const name of cuda) if (!beside.includes(name)) rmSync(join(lib, name));
    return join(folder, "torch");
  }

  it("lacks what its CUDA half needs, through others too; the driver's own is not counted", () => {
    const torch = wheel();
    expect(missingCudaLibraries(torch, {})).toEqual(["libcudart.so.99", "libcudnn.so.99", "libnccl.so.99"]);
    const elsewhere = join(folder, "cuda");
    mkdirSync(elsewhere);
    for (const name of ["libcudart.so.99", "libnccl.so.99"]) writeFileSync(join(elsewhere, name), "");
    expect(missingCudaLibraries(torch, { LD_LIBRARY_PATH: `/none:${elsewhere}` })).toEqual(["libcudnn.so.99"]);
    const installed = () => new Set(["libcudnn.so.99", "libcudart.so.98"]);
    expect(missingCudaLibraries(torch, {}, installed)).toEqual(["libcudart.so.99", "libnccl.so.99"]);
  });

  it("is refused by setup, with the names and the ways out, and leaves nothing", async () => {
    const from = wheel("libnccl.so.99");
    const env = { PATH: process.env.PATH, CELLSAM_CACHE: join(folder, "cache") };
    const setup = setupLibtorch({ variant: "cu130", from, env });
    await expect(setup).rejects.toMatchObject({
      code: "ERR_SETUP",
      message: expect.stringMatching(/lacks .*: libcudart\.so\.99, libcudnn\.so\.99\. .*--from.*LIBTORCH_USE_PYTORCH=1/),
    });
    expect(readdirSync(join(folder, "cache", "libtorch"))).toEqual([]);
  });

  it("with all of them beside is taken, for its own variant", async () => {
    const from = wheel("libcudart.so.99", "libcudnn.so.99", "libnccl.so.99");
    const env = { PATH: process.env.PATH, CELLSAM_CACHE: join(folder, "cache") };
    await expect(setupLibtorch({ variant: "cu126", from, env })).rejects.toThrow("is a build for cu130, not for cu126");
    rmSync(join(from, "lib", "libtorch_cuda.so"));
    await expect(setupLibtorch({ variant: "cu130", from, env })).rejects.toThrow("is a build without CUDA, not for cu130");
    library(join(from, "lib"), "libtorch_cuda.so", "libc10_cuda.so");
    expect(await setupLibtorch({ variant: "cu130", from, env })).toMatchObject({ version: "2.13.0", variant: "cu130" });
  });
});
