/**
 * The libtorch that `cellsam setup` fetches: the pinned version, and where PyTorch keeps its archives of it. A module and not a
 * JSON file, since Node 20 prints a warning for each JSON import.
 */
export type Variant = "cpu" | "cu126" | "cu130";

export const libtorchVersionPinned = "2.13.0";

/** Archive by platform; a platform without one is served by pip (CPU only). */
export const archives: Record<Variant, Record<string, string>> = {
  cpu: {
    "linux-x64": "https://download.pytorch.org/libtorch/cpu/libtorch-shared-with-deps-2.13.0%2Bcpu.zip",
    "darwin-arm64": "https://download.pytorch.org/libtorch/cpu/libtorch-macos-arm64-2.13.0.zip",
    "win32-x64": "https://download.pytorch.org/libtorch/cpu/libtorch-win-shared-with-deps-2.13.0%2Bcpu.zip",
  },
  cu126: {
    "linux-x64": "https://download.pytorch.org/libtorch/cu126/libtorch-shared-with-deps-2.13.0%2Bcu126.zip",
  },
  cu130: {
    "linux-x64": "https://download.pytorch.org/libtorch/cu130/libtorch-shared-with-deps-2.13.0%2Bcu130.zip",
  },
};

/** PyTorch's wheels without CUDA, for pip. */
export const cpuWheels = "https://download.pytorch.org/whl/cpu";

/** The CUDA version that the driver must support. */
export const minimumCuda: Record<Exclude<Variant, "cpu">, string> = { cu126: "12.6", cu130: "13.0" };
