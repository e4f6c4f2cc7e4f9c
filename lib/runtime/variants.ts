/**
 * The libtorch that `cellsam setup` fetches: its version, and where PyTorch keeps its archives. This is a module and not a JSON
 * file because Node 20 prints a warning for each JSON import.
 */
export type Variant = "cpu" | "cu126" | "cu130";

/** A.B.C. */
export const libtorchVersionPinned = "2.13.0";

/** Torch minors that the sources compile for: a release has an engine for each of them. */
export const supportedTorch = ["2.11", "2.12", "2.13", "2.14"];

/** `<platform>-<arch>` of the prebuilt binaries of a release. */
export const releasedPlatforms = ["linux-x64", "linux-arm64", "darwin-arm64", "win32-x64"];

/** How PyTorch names its archive for a platform. Platforms that are not listed get libtorch through pip (CPU only). */
const archiveNames: Record<string, { name: string; labelled: boolean; variants: Variant[] }> = {
  "linux-x64": { name: "libtorch-shared-with-deps", labelled: true, variants: ["cpu", "cu126", "cu130"] },
  "darwin-arm64": { name: "libtorch-macos-arm64", labelled: false, variants: ["cpu"] },
  // With CUDA the engine uses torch's own operations there: the kernels of this package are built for Linux.
  "win32-x64": { name: "libtorch-win-shared-with-deps", labelled: true, variants: ["cpu", "cu126", "cu130"] },
};

export const variants: Variant[] = ["cpu", "cu126", "cu130"];

/** PyTorch's archive of a torch version (A.B.C) for `<platform>-<arch>`; null where there is none. */
export function archiveUrl(variant: Variant, platform: string, version: string = libtorchVersionPinned): string | null {
  const archive = archiveNames[platform];
  if (!archive?.variants.includes(variant)) return null;
  const label = archive.labelled ? `%2B${variant}` : "";
  return `https://download.pytorch.org/libtorch/${variant}/${archive.name}-${version}${label}.zip`;
}

/** PyTorch's wheels without CUDA, for pip. */
export const cpuWheels = "https://download.pytorch.org/whl/cpu";

/** A Python that every supported torch has wheels for. */
export const wheelPython = "3.11";

/** The CUDA version that the driver must support. */
export const minimumCuda: Record<Exclude<Variant, "cpu">, string> = { cu126: "12.6", cu130: "13.0" };
