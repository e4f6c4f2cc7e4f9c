// The GPU driver against the CUDA of the libtorch that was found.
import { describe, expect, it } from "vitest";
import { requireDriver } from "../../lib/engine/device.js";

const driver = (cuda: string) => ({ cuda, version: "550.54", devices: [] });

describe("requireDriver", () => {
  it("refuses a driver that is older than libtorch's CUDA, and tells the three ways out", () => {
    expect(() => requireDriver(driver("12.4"), "cu130")).toThrow(
      expect.objectContaining({
        code: "ERR_CUDA_DRIVER_TOO_OLD",
        message: expect.stringMatching(/Update the driver.*cellsam setup.*device cpu/s),
        detail: { driver: "550.54", supports: "12.4", needs: "13.0" },
      }),
    );
    expect(() => requireDriver(driver("12.4"), "cu126")).toThrow("12.6");
  });

  it.each([
    ["13.0", "cu130"],
    ["13.1", "cu126"],
    ["12.4", "cpu"],
  ])("lets CUDA %s work with %s", (cuda, variant) => {
    expect(() => requireDriver(driver(cuda), variant)).not.toThrow();
  });

  it("leaves a machine without a driver to the engine", () => {
    expect(() => requireDriver(null, "cu130")).not.toThrow();
  });
});
