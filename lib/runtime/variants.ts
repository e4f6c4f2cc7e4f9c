/**
 * The libtorch that `cellsam setup` fetches: its version, and where PyTorch keeps its archives. This is a module and not a JSON
 * file because Node 20 prints a warning for each JSON import.
 */
export const variants = ["cpu", "cu126", "cu128", "cu130", "cu132"] as const;
export type Variant = (typeof variants)[number];
export type CudaVariant = Exclude<Variant, "cpu">;

/** A.B.C. */
export const libtorchVersionPinned = "2.13.0";

/** Torch minors that the sources compile for: a release has an engine for each of them. */
export const supportedTorch = ["2.11", "2.12", "2.13", "2.14"];

/** `<platform>-<arch>` of the prebuilt binaries of a release. */
export const releasedPlatforms = ["linux-x64", "linux-arm64", "darwin-arm64", "win32-x64"];

/** The torch minors that PyTorch made a CUDA build for, as its table of releases says. */
const torchWith: Readonly<Record<CudaVariant, readonly string[]>> = {
  cu126: ["2.11", "2.12", "2.13", "2.14"], // 2.15 will have none
  cu128: ["2.11"],
  cu130: ["2.11", "2.12", "2.13", "2.14"],
  cu132: ["2.12", "2.13", "2.14"],
};

/**
 * How PyTorch names its archive for a platform; where there are builds for CUDA, the variant is part of the name. Platforms that
 * are not listed get libtorch through pip (CPU only).
 */
const archiveNames: Readonly<Record<string, { name: string; cuda: boolean }>> = {
  "linux-x64": { name: "libtorch-shared-with-deps", cuda: true },
  "darwin-arm64": { name: "libtorch-macos-arm64", cuda: false },
  // With CUDA the engine uses torch's own operations there: the kernels of this package are built for Linux.
  "win32-x64": { name: "libtorch-win-shared-with-deps", cuda: true },
};

/** PyTorch's archive of a torch version (A.B.C) for `<platform>-<arch>`; null where there is none. */
export function archiveUrl(variant: Variant, platform: string, version: string = libtorchVersionPinned): string | null {
  const archive = archiveNames[platform];
  if (!archive || (variant !== "cpu" && !(archive.cuda && hasVariant(version, variant)))) return null;
  const label = archive.cuda ? `%2B${variant}` : "";
  return `https://download.pytorch.org/libtorch/${variant}/${archive.name}-${version}${label}.zip`;
}

/** Whether PyTorch made a CUDA build of a torch version (A.B or A.B.C). */
export function hasVariant(torch: string, variant: CudaVariant): boolean {
  return torchWith[variant].includes(minorOf(torch));
}

/** The torch minors with a CUDA build, as a list for people. */
export function torchOf(variant: CudaVariant): string {
  return torchWith[variant].join(", ");
}

/** A.B of A.B.C. */
export function minorOf(torch: string): string {
  return torch.split(".").slice(0, 2).join(".");
}

/** PyTorch's wheels without CUDA, for pip. */
export const cpuWheels = "https://download.pytorch.org/whl/cpu";

/** A Python that every supported torch has wheels for. */
export const wheelPython = "3.11";

/** Compares dotted version numbers: below 0, 0 or above 0. */
export function compareVersions(a: string, b: string): number {
  const [x, y] = [a.split(".").map(Number), b.split(".").map(Number)];
  for (let i = 0; i < Math.max(x.length, y.length); i += 1) {
    const difference = (x[i] ?? 0) - (y[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
