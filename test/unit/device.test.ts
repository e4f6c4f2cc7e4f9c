// The GPUs and their driver against the CUDA of the libtorch that was found.
import { describe, expect, it } from "vitest";
import { firstUsable, requireGpu } from "../../lib/engine/device.js";

const gpu = (computeCapability: string) => ({ name: `GPU ${computeCapability}`, memory: 1, free: null, computeCapability });
const driver = (cuda: string, ...capabilities: string[]) => ({ cuda, version: "550.54", devices: capabilities.map(gpu) });

describe("requireGpu", () => {
  it("refuses a driver that is older than libtorch's CUDA, and tells the three ways out", () => {
    expect(() => requireGpu(driver("12.4", "9.0"), "cu130", "cuda")).toThrow(
      expect.objectContaining({
        code: "ERR_CUDA_DRIVER_TOO_OLD",
        message: expect.stringMatching(/Update the driver.*cellsam setup.*device cpu/s),
        detail: { driver: "550.54", supports: "12.4", needs: "13.0" },
      }),
    );
    expect(() => requireGpu(driver("11.8"), "cu126", "cuda")).toThrow("needs 12.0");
  });

  it.each([
    ["13.0", "cu130"],
    ["13.0", "cu132"],
    ["13.1", "cu126"],
    ["12.0", "cu126"],
    ["12.4", "cpu"],
  ])("lets a driver for CUDA %s work with %s", (cuda, variant) => {
    expect(() => requireGpu(driver(cuda, "9.0"), variant, "cuda")).not.toThrow();
  });

  it("refuses the GPU that is asked for where libtorch has no code for it", () => {
    const machine = driver("13.0", "9.0", "7.0");
    expect(() => requireGpu(machine, "cu130", "cuda:0")).not.toThrow();
    expect(() => requireGpu(machine, "cu130", "cuda:1")).toThrow(
      expect.objectContaining({
        code: "ERR_DEVICE_UNAVAILABLE",
        message: expect.stringMatching(/^cuda:1 is GPU 7\.0 \(compute 7\.0\).*\(cu130\) has no code.*cellsam setup/),
      }),
    );
    expect(() => requireGpu(machine, "cu126", "cuda:1")).not.toThrow();
  });

  it("leaves a machine without a driver, and a device that is not there, to the engine", () => {
    expect(() => requireGpu(null, "cu130", "cuda")).not.toThrow();
    expect(() => requireGpu(driver("13.0", "9.0"), "cu130", "cuda:7")).not.toThrow();
  });
});

describe("firstUsable", () => {
  it("is the first GPU that libtorch has code for", () => {
    const machine = driver("13.0", "7.0", "9.0");
    expect(firstUsable(machine, "cu130", 2)).toBe(1);
    expect(firstUsable(machine, "cu126", 2)).toBe(0);
    expect(firstUsable(machine, "cu130", 1)).toBeNull();
    expect(firstUsable(machine, "cu130", 0)).toBeNull();
  });

  it("is the engine's first where nothing is known of it", () => {
    expect(firstUsable(null, "cu130", 1)).toBe(0);
    expect(firstUsable(driver("13.0", "7.0"), "cuda", 1)).toBe(0);
  });
});
