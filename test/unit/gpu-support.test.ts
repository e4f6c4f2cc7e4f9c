// The build of libtorch that a machine needs. The rows are written by hand from two published tables: PyTorch's of CUDA versions
// and architectures of a release (RELEASE.md; issues 172663, 178665 and 190355 of pytorch/pytorch for 2.11, 2.12 and 2.14), and
// NVIDIA's of minor-version compatibility (12.x runs from the driver of 12.0 on, 13.x from that of 13.0).
import { describe, expect, it } from "vitest";
import { chooseVariant, driverNeeded, runsOn } from "../../lib/runtime/gpuSupport.js";
import { archiveUrl, variants } from "../../lib/runtime/variants.js";

const capabilities: Record<string, string> = {
  M60: "5.2",
  P100: "6.0",
  "GTX 1080": "6.1",
  V100: "7.0",
  T4: "7.5",
  A100: "8.0",
  "RTX 3090": "8.6",
  L40S: "8.9",
  H200: "9.0",
  B200: "10.0",
  B300: "10.3",
  "RTX 5090": "12.0",
  "DGX Spark": "12.1",
  "a later GPU": "13.0",
};

const machine = (cuda: string, names: string) => ({
  cuda,
  devices: names.split(" + ").map((name) => ({ name, computeCapability: capabilities[name] as string })),
});

describe("chooseVariant on Linux x64", () => {
  it.each([
    // Driver, GPUs, torch, variant.
    ["11.8", "A100", "2.13.0", "cpu"],
    ["12.0", "A100", "2.13.0", "cu126"],
    ["12.4", "H200", "2.13.0", "cu126"], // driver 550
    ["12.5", "T4", "2.14.1", "cu126"],
    ["12.6", "M60", "2.13.0", "cu126"],
    ["12.8", "P100", "2.13.0", "cu126"],
    ["12.8", "V100", "2.11.0", "cu126"],
    ["12.8", "H200", "2.11.0", "cu126"],
    ["12.8", "RTX 5090", "2.11.0", "cu128"],
    ["12.9", "B200", "2.11.0", "cu128"],
    ["12.9", "B300", "2.11.0", "cu128"],
    ["12.8", "RTX 5090", "2.12.0", "cpu"],
    ["12.9", "B200", "2.13.0", "cpu"],
    ["13.0", "M60", "2.13.0", "cu126"],
    ["13.0", "P100", "2.13.0", "cu126"],
    ["13.0", "GTX 1080", "2.14.0", "cu126"],
    ["13.0", "V100", "2.11.0", "cu126"],
    ["13.0", "T4", "2.13.0", "cu130"],
    ["13.0", "A100", "2.11.0", "cu130"],
    ["13.0", "RTX 3090", "2.12.0", "cu130"],
    ["13.1", "L40S", "2.13.0", "cu130"],
    ["13.2", "H200", "2.14.0", "cu130"],
    ["13.0", "B200", "2.11.0", "cu130"],
    ["13.0", "B300", "2.13.0", "cu130"],
    ["13.0", "RTX 5090", "2.13.0", "cu130"],
    ["13.0", "DGX Spark", "2.13.0", "cu130"],
    ["13.2", "a later GPU", "2.13.0", "cu130"], // by PTX
    // Several GPUs: the build that runs on the most of them.
    ["13.0", "V100 + H200", "2.13.0", "cu126"],
    ["13.0", "T4 + RTX 5090", "2.13.0", "cu130"],
    ["12.8", "A100 + RTX 5090", "2.13.0", "cu126"],
    ["13.0", "V100 + RTX 5090 + B200", "2.13.0", "cu130"],
    ["13.0", "P100", "2.15.0", "cpu"], // 2.15 has no cu126, and no engine here
  ])("driver for CUDA %s, %s, torch %s: %s", (cuda, gpus, torch, variant) => {
    expect(chooseVariant(machine(cuda, gpus), { torch, platform: "linux-x64" }).variant).toBe(variant);
  });
});

describe("what is left out", () => {
  const advice = (cuda: string, gpus: string, torch = "2.13.0", platform = "linux-x64") =>
    chooseVariant(machine(cuda, gpus), { torch, platform }).advice;

  it("is nothing where all GPUs can be used, and without a driver", () => {
    expect(advice("13.0", "H200 + T4")).toBeNull();
    expect(chooseVariant(null)).toEqual({ variant: "cpu", advice: null });
  });

  it("is told with the ways out: a newer driver, another torch", () => {
    expect(advice("12.8", "RTX 5090")).toBe(
      "no libtorch can use RTX 5090 (compute 12.0): update the GPU driver (it supports CUDA 12.8, and cu130 needs 13.0), " +
        "or npx cellsam setup --torch 2.11.0",
    );
    expect(advice("11.8", "A100")).toMatch(/update the GPU driver \(it supports CUDA 11\.8, and cu126 needs 12\.0\)$/);
    expect(advice("12.8", "A100 + RTX 5090")).toMatch(/^libtorch \(cu126\) does not run on RTX 5090 .*update the GPU driver/);
    expect(advice("13.0", "V100 + RTX 5090 + B200")).toMatch(/^libtorch \(cu130\) does not run on V100 .*no one build/);
  });

  it("depends on the platform: no PTX on Windows, no CUDA build on macOS and arm64", () => {
    expect(advice("13.2", "a later GPU", "2.13.0", "win32-x64")).toMatch(/torch 2\.13 for win32-x64 has no build for it$/);
    for (const platform of ["linux-arm64", "darwin-arm64"])
      expect(chooseVariant(machine("13.0", "H200"), { platform }).variant).toBe("cpu");
  });
});

describe("a variant", () => {
  it("has an archive for the torch versions that PyTorch built it for", () => {
    const has = (torch: string) => variants.filter((variant) => archiveUrl(variant, "linux-x64", torch) !== null);
    expect(has("2.11.0")).toEqual(["cpu", "cu126", "cu128", "cu130"]);
    for (const torch of ["2.12.0", "2.13.0", "2.14.1"]) expect(has(torch)).toEqual(["cpu", "cu126", "cu130", "cu132"]);
  });

  it("needs the first driver of its major version", () => {
    expect(variants.map(driverNeeded)).toEqual([null, "12.0", "12.0", "13.0", "13.0"]);
  });

  it("that PyTorch did not make is left to try", () => {
    const gpu = { name: "V100", computeCapability: "7.0" };
    expect([runsOn("cuda", gpu), runsOn("cu999", gpu), driverNeeded("cuda")]).toEqual([true, true, null]);
  });
});
