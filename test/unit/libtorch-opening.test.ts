// How binding.node opens libtorch, with libraries that are empty but for what they say about the moment at which they are opened.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fakeEngine, root } from "../stress/engine.js";

const folder = mkdtempSync(join(tmpdir(), "cellsam-opening-"));
const sources = {
  c10: "",
  torch_cpu: 'extern "C" unsigned long long aoti_torch_abi_version() { return 2ULL << 56 | 13ULL << 48; }',
  torch_cuda: `#include <cstdio>
    #include <cstdlib>
    static const char* set(const char* name) { return std::getenv(name) ? std::getenv(name) : "-"; }
    static const int opened = std::printf("%s %s\\n", set("PYTORCH_ALLOC_CONF"), set("PYTORCH_CUDA_ALLOC_CONF"));`,
};

beforeAll(() => {
  mkdirSync(join(folder, "lib"));
  for (const [name, input] of Object.entries(sources)) {
    const flags = ["-x", "c++", "-std=c++20", "-shared", "-fPIC", "-", "-o", join(folder, "lib", `lib${name}.so`)];
    execFileSync(process.env.CXX ?? "c++", flags, { input });
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What libtorch_cuda finds in the environment when it is opened. */
function allocatorSettings(env: Record<string, string>): string {
  const binding = join(root, "build", "Release", "binding.node");
  const files = { engine: fakeEngine(), libtorch: folder, torch: "2.13" };
  const script = `require(${JSON.stringify(binding)}).loadEngine(${JSON.stringify(files)}); process.exit(0)`;
  const { PYTORCH_ALLOC_CONF: _, PYTORCH_CUDA_ALLOC_CONF: __, ...own } = process.env;
  return execFileSync(process.execPath, ["-e", script], { encoding: "utf8", env: { ...own, ...env } }).trim();
}

describe.skipIf(process.platform !== "linux")("libtorch for CUDA", () => {
  it("allocates memory in segments that grow", () => {
    expect(allocatorSettings({})).toBe("expandable_segments:True -");
  });

  it.each(["PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"])("leaves %s as the user set it", (name) => {
    const own = "max_split_size_mb:128";
    expect(allocatorSettings({ [name]: own })).toBe(name === "PYTORCH_ALLOC_CONF" ? `${own} -` : `- ${own}`);
  });
});
