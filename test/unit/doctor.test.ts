// `cellsam doctor` on machines that are made up: what is missing, damaged or too old, and the command that mends it. The probe
// is the real one, so each of these goes through binding.node and the loader.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Check, type DoctorOptions, diagnose } from "../../lib/runtime/doctor.js";
import { libraryName, resolveLibtorch } from "../../lib/runtime/resolve.js";

const packageRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const probe = join(packageRoot, "dist", "cli", "doctorProbe.js");

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cellsam-doctor-test-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** The checks by name; a name that stands twice keeps the last. */
async function checksOf(env: NodeJS.ProcessEnv, more: Partial<DoctorOptions> = {}) {
  const { ok, checks } = await diagnose({ packageRoot, probe, env: { PATH: process.env.PATH, ...env }, ...more });
  expect(ok).toBe(checks.every((check) => check.ok));
  for (const check of checks) if (!check.ok) expect(check.mend, check.name).toBeTruthy();
  return Object.fromEntries(checks.map((check) => [check.name, check])) as Record<string, Check>;
}

/** A cache that holds what setup would have stored, with libraries that are none. */
function cacheWith(version: string, variant: string, sums: Record<string, string>): NodeJS.ProcessEnv {
  const libtorch = join(folder, "libtorch", `${version}-${variant}`);
  mkdirSync(join(libtorch, "lib"), { recursive: true });
  for (const name of ["c10", "torch_cpu"]) writeFileSync(join(libtorch, "lib", libraryName(name)), "no library");
  writeFileSync(join(libtorch, "READY.json"), JSON.stringify({ version, variant, files: sums }));
  return { CELLSAM_CACHE: folder };
}

/** A libcuda that knows one GPU and the CUDA version `cuda`, e.g. 12040. */
function driverFor(cuda: number): NodeJS.ProcessEnv {
  const source = join(folder, "cuda.c");
  writeFileSync(
    source,
    `#include <string.h>
     int cuInit(unsigned f) { return 0; }
     int cuDriverGetVersion(int* v) { *v = ${cuda}; return 0; }
     int cuDeviceGetCount(int* n) { *n = 1; return 0; }
     int cuDeviceGet(int* d, int i) { *d = i; return 0; }
     int cuDeviceGetName(char* t, int n, int d) { strncpy(t, "Stub GPU", n); return 0; }
     int cuDeviceTotalMem_v2(unsigned long* b, int d) { *b = 1ul << 34; return 0; }
     int cuDeviceGetAttribute(int* v, int a, int d) { *v = a == 75 ? 9 : 0; return 0; }`,
  );
  execFileSync("cc", ["-shared", "-fPIC", "-o", join(folder, "libcuda.so.1"), source]);
  return { LD_LIBRARY_PATH: folder };
}

describe("doctor", () => {
  it("finds a whole installation well, with a training step on the CPU", async () => {
    const checks = await checksOf({ CELLSAM_LIBTORCH: resolveLibtorch().path });
    expect(Object.values(checks).filter(({ ok }) => !ok)).toEqual([]);
    expect(checks.libtorch?.found).toContain("CELLSAM_LIBTORCH");
    expect(checks.engine?.found).toMatch(/for torch \d+\.\d+/);
    expect(checks.step?.found).toMatch(/one training step on cpu: \d+\.\d\d s/);
  });

  it("no libtorch: setup", async () => {
    const checks = await checksOf({ CELLSAM_CACHE: join(folder, "empty") });
    expect(checks.libtorch).toMatchObject({ ok: false, mend: "npx cellsam setup" });
    expect(checks.load).toBeUndefined();
  });

  it("a libtorch that is named and not there: another one in the cache would not help", async () => {
    const checks = await checksOf({ CELLSAM_LIBTORCH: join(folder, "nowhere") });
    expect(checks.libtorch).toMatchObject({ ok: false, mend: "correct or unset CELLSAM_LIBTORCH, then npx cellsam setup" });
    expect(checks.libtorch?.found).toContain(join(folder, "nowhere"));
  });

  it("a libtorch of another minor: says which engines there are", async () => {
    const checks = await checksOf(cacheWith("2.99.0", "cpu", {}));
    expect(checks.engine?.ok).toBe(false);
    expect(checks.engine?.found).toMatch(/is 2\.99\.0, but the engine is built for/);
    expect(checks.engine?.mend).toContain("npx cellsam setup");
  });

  it("a package without an engine: install it again, since another libtorch would not help", async () => {
    const checks = await checksOf({ CELLSAM_LIBTORCH: resolveLibtorch().path }, { packageRoot: folder });
    expect(checks.engine).toMatchObject({ ok: false, mend: "npm install (or npm run build in a checkout)" });
  });

  it("a damaged library: names it, and has it fetched again", async () => {
    const version = resolveLibtorch().version;
    const checks = await checksOf(cacheWith(version, "cpu", { [`lib/${libraryName("c10")}`]: "0".repeat(64) }));
    expect(checks.libraries).toMatchObject({ ok: false, mend: "npx cellsam setup --force" });
    expect(checks.libraries?.found).toContain(libraryName("c10"));
    expect(checks.load).toMatchObject({ ok: false, mend: "npx cellsam setup --force" });
  });

  it("a driver that is older than the CUDA of this libtorch", async () => {
    const checks = await checksOf({ ...cacheWith("2.13.0", "cu130", {}), ...driverFor(12_040) });
    expect(checks.gpu?.ok).toBe(false);
    expect(checks.gpu?.found).toMatch(/Stub GPU \(compute 9\.0\).*for CUDA 12\.4, older than the CUDA 13\.0/);
    expect(checks.gpu?.mend).toContain("update the GPU driver");
  });

  it("a driver that a CPU build of libtorch does not use is an offer, not a failure", async () => {
    const checks = await checksOf({ CELLSAM_LIBTORCH: resolveLibtorch().path, ...driverFor(13_000) });
    expect(checks.gpu).toMatchObject({ ok: true, mend: expect.stringContaining("npx cellsam setup") });
  });

  it("a CUDA libtorch without a GPU", async () => {
    const checks = await checksOf(cacheWith("2.13.0", "cu130", {}));
    expect(checks.gpu).toMatchObject({ ok: true, mend: expect.stringContaining("--variant cpu") });
    expect(checks.gpu?.found).toBe("no GPU driver, but a libtorch for CUDA 13.0");
  });

  it.skipIf(process.platform !== "linux")(
    "a libtorch that lacks a library of CUDA: which one, and where it may be",
    async () => {
      const torch = join(folder, "torch");
      mkdirSync(join(torch, "lib"), { recursive: true });
      writeFileSync(join(torch, "build-version"), resolveLibtorch().version);
      const lib = join(resolveLibtorch().path, "lib");
      for (const name of readdirSync(lib)) symlinkSync(join(lib, name), join(torch, "lib", name));
      // As libtorch_cuda.so of a wheel whose further packages did not come along.
      writeFileSync(join(folder, "empty.c"), "");
      const shared = ["-shared", "-fPIC", "-Wl,--no-as-needed", join(folder, "empty.c")];
      execFileSync("cc", [...shared, "-Wl,-soname,libcusparse.so.12", "-o", join(folder, "cusparse.so")]);
      execFileSync("cc", [...shared, join(folder, "cusparse.so"), "-o", join(torch, "lib", "libtorch_cuda.so")]);
      const checks = await checksOf({ CELLSAM_LIBTORCH: torch });
      expect(checks.load).toMatchObject({ ok: false, found: expect.stringContaining("libcusparse.so.12") });
      expect(checks.load?.mend).toMatch(
        /its libcusparse\.so\.12 \(.*LD_LIBRARY_PATH.*npx cellsam setup and unset CELLSAM_LIBTORCH$/,
      );
    },
  );

  it("musl", async () => {
    const machine = { platform: "linux", arch: "x64", glibc: null };
    const checks = await checksOf({ CELLSAM_CACHE: join(folder, "empty") }, { machine });
    expect(checks.machine?.ok).toBe(false);
    expect(checks.machine?.mend).toContain("glibc");
  });

  it("a process that dies while it loads: the signal, and the way out", async () => {
    const killed = join(folder, "probe.mjs");
    const windows = process.platform === "win32";
    const crash = windows ? "process.exit(0xc0000005 | 0);" : 'process.kill(process.pid, "SIGSEGV");';
    writeFileSync(killed, `console.log(JSON.stringify({ driver: null })); ${crash}`);
    const checks = await checksOf({ CELLSAM_LIBTORCH: resolveLibtorch().path }, { probe: killed });
    expect(checks.load).toMatchObject({
      ok: false,
      found: windows ? "ended by an access violation (0xc0000005)" : "ended by SIGSEGV",
      mend: "npx cellsam setup and unset CELLSAM_LIBTORCH",
    });
  });
});
