// `cellsam doctor` on machines that are made up: what is missing, damaged or too old, and the command that mends it. The probe
// is the real one, so each of these goes through binding.node and the loader.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Check, type DoctorOptions, diagnose } from "../../lib/runtime/doctor.js";
import { type Alarm, type ProbeLine, patience, type StepPlan } from "../../lib/runtime/doctorChild.js";
import { resolveEngine } from "../../lib/runtime/engine.js";
import { libraryName, resolveLibtorch } from "../../lib/runtime/resolve.js";

const packageRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const probe = join(packageRoot, "dist", "cli", "doctorProbe.js");

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cellsam-doctor-test-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** However slow the machine that runs the tests is. */
const never: Alarm = () => () => {};

/** The checks by name; a name that stands twice keeps the last. */
async function checksOf(env: NodeJS.ProcessEnv, more: Partial<DoctorOptions> = {}) {
  const { ok, checks } = await diagnose({ packageRoot, probe, env: { PATH: process.env.PATH, ...env }, alarm: never, ...more });
  expect(ok).toBe(checks.every((check) => check.ok));
  for (const check of checks) if (!check.ok) expect(check.mend, check.name).toBeTruthy();
  return Object.fromEntries(checks.map((check) => [check.name, check])) as Record<string, Check>;
}

/** A cache that holds what setup would have stored, with libraries that are none. `more` is noted besides. */
function cacheWith(version: string, variant: string, sums: Record<string, string>, more = {}): NodeJS.ProcessEnv {
  const libtorch = join(folder, "libtorch", `${version}-${variant}`);
  mkdirSync(join(libtorch, "lib"), { recursive: true });
  for (const name of ["c10", "torch_cpu"]) writeFileSync(join(libtorch, "lib", libraryName(name)), "no library");
  writeFileSync(join(libtorch, "READY.json"), JSON.stringify({ version, variant, files: sums, ...more }));
  return { CELLSAM_CACHE: folder };
}

/** A libcuda that knows one GPU, of compute capability `computeMajor`.0, and the CUDA version `cuda`, e.g. 12040. */
function driverFor(cuda: number, computeMajor = 9): NodeJS.ProcessEnv {
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
     int cuDeviceGetAttribute(int* v, int a, int d) { *v = a == 75 ? ${computeMajor} : 0; return 0; }`,
  );
  execFileSync("cc", ["-shared", "-fPIC", "-o", join(folder, "libcuda.so.1"), source]);
  return { LD_LIBRARY_PATH: folder };
}

/** A probe that prints these lines and ends, or stays. */
function lines(...all: (ProbeLine | "stays")[]): string {
  const path = join(folder, `probe-${all.length}.mjs`);
  const text = all.map((line) =>
    line === "stays" ? "setInterval(() => {}, 1e6);" : `console.log(${JSON.stringify(JSON.stringify(line))});`,
  );
  writeFileSync(path, text.join("\n"));
  return path;
}

describe("doctor", () => {
  it("finds a whole installation well, and trains both stages on the CPU", async () => {
    const env = { PATH: process.env.PATH, CELLSAM_LIBTORCH: resolveLibtorch().path };
    const { ok, checks } = await diagnose({ packageRoot, probe, env, alarm: never });
    expect(checks.filter((check) => !check.ok)).toEqual([]);
    expect(ok).toBe(true);
    const found = (name: string) => checks.filter((check) => check.name === name).map((check) => check.found);
    expect(found("libtorch")[0]).toContain("CELLSAM_LIBTORCH");
    expect(found("engine")[0]).toMatch(/for torch \d+\.\d+/);
    const speed = String.raw`on cpu in fp32 \(size tiny\): [\d.e+]+ images/s after a first step of \d+\.\d\d s`;
    expect(found("step")).toEqual([1, 2].map((stage) => expect.stringMatching(`^stage ${stage} ${speed}$`)));
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

  it("an engine that CELLSAM_ENGINE names: that one, unless it is not there or of another torch", async () => {
    const libtorch = resolveLibtorch();
    const { path } = resolveEngine(packageRoot, libtorch);
    const own = join(folder, basename(path));
    symlinkSync(path, own);
    const engine = async (file: string) =>
      (await checksOf({ CELLSAM_LIBTORCH: libtorch.path, CELLSAM_ENGINE: file }, { probe: lines({ driver: null }) })).engine;
    expect(await engine(own)).toMatchObject({ ok: true, found: expect.stringContaining(`${own}, by CELLSAM_ENGINE`) });
    const mend = "correct or unset CELLSAM_ENGINE";
    expect(await engine(`${own}.no`)).toMatchObject({ ok: false, found: expect.stringContaining("no such file"), mend });
    const older = join(folder, basename(path).replace(/\d+\.\d+/, "2.1"));
    symlinkSync(path, older);
    expect(await engine(older)).toMatchObject({ ok: false, found: expect.stringContaining("for torch 2.1"), mend });
  });

  it.skipIf(process.platform !== "linux")("a library that LD_LIBRARY_PATH puts in the place of libtorch's", async () => {
    const env = cacheWith(resolveLibtorch().version, "cpu", {});
    const libtorch = join(folder, "libtorch", `${resolveLibtorch().version}-cpu`);
    const [cluster, same] = [join(folder, "cluster"), join(folder, "same")];
    for (const path of [cluster, same]) mkdirSync(path);
    for (const name of ["libcudnn.so.9", "libgomp.so.1"]) writeFileSync(join(libtorch, "lib", name), "");
    // The loader opens libc10 by its path, and a link to libtorch's own file changes nothing.
    for (const name of ["libcudnn.so.9", "libc10.so", "libother.so"]) writeFileSync(join(cluster, name), "");
    symlinkSync(join(libtorch, "lib", "libgomp.so.1"), join(same, "libgomp.so.1"));
    const path = { LD_LIBRARY_PATH: `${cluster}:${same}` };
    const { paths, load } = await checksOf({ ...env, ...path }, { probe: lines({ driver: null }) });
    expect(load?.mend).toMatch(/^unset LD_LIBRARY_PATH.*; if that does not help, npx cellsam setup --force$/);
    expect(paths).toMatchObject({ ok: true, mend: expect.stringContaining("LD_LIBRARY_PATH") });
    expect(paths?.found).toBe(`by LD_LIBRARY_PATH ${join(cluster, "libcudnn.so.9")} are used in place of libtorch's own`);
    expect((await checksOf(env, { probe: lines({ driver: null }) })).paths).toBeUndefined();
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
    expect(checks.gpu?.mend).toMatch(/^update the GPU driver, or run npx cellsam setup .*\(cu126\)$/);
  });

  it("a driver for CUDA 12.4 runs a libtorch for 12.6", async () => {
    const checks = await checksOf({ ...cacheWith("2.13.0", "cu126", {}), ...driverFor(12_040) });
    expect(checks.gpu).toMatchObject({ ok: true });
  });

  it("a GPU that this libtorch has no code for, with a driver that is new enough: another libtorch", async () => {
    const volta = await checksOf({ ...cacheWith("2.13.0", "cu130", {}), ...driverFor(13_000, 7) });
    expect(volta.gpu).toMatchObject({ ok: false, mend: "npx cellsam setup, which chooses cu126" });
    expect(volta.gpu?.found).toMatch(/libtorch \(cu130\) has no code for Stub GPU \(compute 7\.0\)$/);
  });

  it("a GPU that needs a newer driver too", async () => {
    const blackwell = await checksOf({ ...cacheWith("2.13.0", "cu126", {}), ...driverFor(12_080, 12) });
    expect(blackwell.gpu?.ok).toBe(false);
    expect(blackwell.gpu?.mend).toMatch(/update the GPU driver .*cu130 needs 13\.0.*npx cellsam setup --torch 2\.11\.0/);
  });

  it("a driver that a CPU build of libtorch does not use is an offer, not a failure", async () => {
    const checks = await checksOf({ CELLSAM_LIBTORCH: resolveLibtorch().path, ...driverFor(13_000) });
    expect(checks.gpu).toMatchObject({ ok: true, mend: expect.stringContaining("npx cellsam setup") });
  });

  it("a CUDA libtorch without a GPU", async () => {
    const checks = await checksOf(cacheWith("2.13.0", "cu130", {}));
    expect(checks.gpu).toMatchObject({ ok: true, mend: expect.stringContaining("--variant cpu") });
    expect(checks.gpu?.found).toBe("no GPU driver, but a libtorch for CUDA (cu130)");
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
        /its libcusparse\.so\.12 \(.*LIBTORCH_USE_PYTORCH=1.*LD_LIBRARY_PATH.*npx cellsam setup and unset CELLSAM_LIBTORCH$/,
      );
    },
  );

  it("names what setup fetched, with its hash", async () => {
    const version = resolveLibtorch().version;
    const name = `lib/${libraryName("c10")}`;
    const sums = { [name]: createHash("sha256").update("no library").digest("hex") };
    const fetched = { source: "https://example.org/libtorch.zip", sha256: "ab".repeat(32) };
    const libraries = async (more: object) => (await checksOf(cacheWith(version, "cpu", sums, more))).libraries;
    expect(await libraries(fetched)).toMatchObject({
      ok: true,
      found: `1 files as stored, from https://example.org/libtorch.zip (SHA-256 ${"ab".repeat(32)})`,
    });
    // A folder of the user's own has none.
    expect(await libraries({ source: "/opt/libtorch", sha256: null })).toMatchObject({ found: "1 files as stored" });
  });

  it("hashes the libraries when the child has ended, which reads them too", async () => {
    const version = resolveLibtorch().version;
    const name = libraryName("c10");
    const env = cacheWith(version, "cpu", {
      [`lib/${name}`]: createHash("sha256").update("written by the child").digest("hex"),
    });
    const writing = join(folder, "probe.mjs");
    const path = JSON.stringify(join(folder, "libtorch", `${version}-cpu`, "lib", name));
    writeFileSync(writing, `import { writeFileSync } from "node:fs"; writeFileSync(${path}, "written by the child");`);
    const checks = await checksOf(env, { probe: writing });
    expect(checks.libraries).toMatchObject({ ok: true, found: "1 files as stored" });
  });

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

describe("a slow machine", () => {
  const steps = (count: number) =>
    Array.from({ length: 2 * count }, (_, i) => ({
      device: `cuda:${Math.floor(i / 2)}`,
      precision: "bf16" as const,
      stage: (i % 2 === 0 ? 1 : 2) as 1 | 2,
    }));
  const info = (gpus: number): ProbeLine => ({
    info: { torch: "2.13.0", cpuCapability: "AVX2", devices: [], cudaKernels: [], steps: steps(gpus) },
  });
  const done = (step: StepPlan): ProbeLine => ({ step: { ...step, seconds: 30, imagesPerSecond: 10 } });
  const env = () => ({ PATH: process.env.PATH, CELLSAM_LIBTORCH: resolveLibtorch().path });

  /** Notes every alarm that is set and not cancelled; rings the one of this number, counted from 0. */
  function alarms(ringing = -1) {
    const set: number[] = [];
    let open = 0;
    const alarm: Alarm = (milliseconds, ring) => {
      open += 1;
      if (set.push(milliseconds) - 1 === ringing) ring();
      return () => {
        open -= 1;
      };
    };
    return { alarm, set, open: () => open };
  }

  it("with eight GPUs has the whole time again after every line", async () => {
    const { alarm, set, open } = alarms();
    const slow = lines({ driver: null }, info(8), ...steps(8).map(done));
    const { checks } = await diagnose({ packageRoot, probe: slow, env: env(), alarm });
    expect(checks.filter(({ name, ok }) => name === "step" && ok)).toHaveLength(16);
    // One at the start, and one after each of the 18 lines; the process has ended, and none is left.
    expect([set.length, open()]).toEqual([19, 0]);
    expect(new Set(set).size).toBe(1);
  });

  it("has two minutes, and 50 s for each GB of libraries", () => {
    expect([0, 1e9, 5e9].map(patience)).toEqual([120_000, 170_000, 370_000]);
  });

  it("that hangs while it loads is told to try again, not to fetch or update anything", async () => {
    const { checks } = await diagnose({ packageRoot, probe: lines({ driver: null }, "stays"), env: env(), ...alarms(1) });
    expect(checks.at(-1)).toMatchObject({ name: "load", ok: false, mend: expect.stringMatching(/^try again: the disk/) });
    expect(checks.at(-1)?.found).toMatch(/^ended after \d+ s without an answer$/);
  });

  it("that hangs in a step names stage, device and precision", async () => {
    const [first, ...others] = steps(8) as [StepPlan, ...StepPlan[]];
    expect(others).toHaveLength(15);
    const hanging = lines({ driver: null }, info(8), done(first), "stays");
    const { checks } = await diagnose({ packageRoot, probe: hanging, env: env(), ...alarms(3) });
    expect(checks.at(-1)).toMatchObject({ name: "step", ok: false, mend: "try again when the machine is less busy" });
    expect(checks.at(-1)?.found).toMatch(/^no step of stage 2 on cuda:0 in bf16 \(size tiny\): ended after/);
  });
});
