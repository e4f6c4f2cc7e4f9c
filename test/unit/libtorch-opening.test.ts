// How binding.node opens libtorch, with libraries that are empty but for what they say about the moment at which they are opened.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fakeEngine, root } from "../stress/engine.js";

const folder = mkdtempSync(join(tmpdir(), "cellsam-opening-"));
const variables = ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"];

/** Prints a line when it is opened: its own name and those variables of the environment that are set. */
const telling = (name: string) => `#include <cstdio>
  #include <cstdlib>
  #include <initializer_list>
  static bool tell() {
    std::printf("${name}");
    for (const char* variable : {${variables.map((variable) => `"${variable}"`).join()}})
      if (const char* value = std::getenv(variable)) std::printf(" %s=%s", variable, value);
    return std::printf("\\n") > 0;
  }
  static const bool told = tell();`;

const sources = {
  c10: telling("c10"), // the first of all, and the OpenMP that comes with it reads GOMP_SPINCOUNT
  torch_cpu: 'extern "C" unsigned long long aoti_torch_abi_version() { return 2ULL << 56 | 13ULL << 48; }',
  torch_cuda: telling("torch_cuda"),
};

beforeAll(() => {
  mkdirSync(join(folder, "lib"));
  for (const [name, input] of Object.entries(sources)) {
    const flags = ["-x", "c++", "-std=c++20", "-shared", "-fPIC", "-", "-o", join(folder, "lib", `lib${name}.so`)];
    execFileSync(process.env.CXX ?? "c++", flags, { input });
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What the libraries say of an environment in which only these of the variables are set. */
function opened(set: Record<string, string>) {
  const binding = join(root, "build", "Release", "binding.node");
  const files = { engine: fakeEngine(), libtorch: folder, torch: "2.13" };
  const script = `require(${JSON.stringify(binding)}).loadEngine(${JSON.stringify(files)}); process.exit(0)`;
  const others = Object.entries(process.env).filter(([name]) => !variables.includes(name));
  const env = { ...Object.fromEntries(others), ...set };
  const [c10, cuda] = execFileSync(process.execPath, ["-e", script], { encoding: "utf8", env }).split("\n");
  return { c10, cuda };
}

describe.skipIf(process.platform !== "linux")("libtorch", () => {
  it("has threads that soon sleep where they have to wait, unless the user has said how they wait", () => {
    expect(opened({}).c10).toBe("c10 GOMP_SPINCOUNT=1000");
    expect(opened({ GOMP_SPINCOUNT: "7" }).c10).toBe("c10 GOMP_SPINCOUNT=7");
    expect(opened({ OMP_WAIT_POLICY: "active" }).c10).toBe("c10 OMP_WAIT_POLICY=active");
  });

  it("allocates a GPU's memory in segments that grow, unless the user has set how", () => {
    const of = (set: Record<string, string>) => opened({ GOMP_SPINCOUNT: "1", ...set }).cuda;
    expect(of({})).toBe("torch_cuda GOMP_SPINCOUNT=1 PYTORCH_ALLOC_CONF=expandable_segments:True");
    for (const name of ["PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"])
      expect(of({ [name]: "max_split_size_mb:128" })).toBe(`torch_cuda GOMP_SPINCOUNT=1 ${name}=max_split_size_mb:128`);
  });
});
