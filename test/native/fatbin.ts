/** The GPUs that a library holds code for, read from its fat binaries: `cuobjdump` is not where only nvcc's package is. */

/** How a fat binary begins: 0xba55ed50, version 1. Its length stands behind, and so it is with each code in it. */
const beginning = Uint8Array.of(0x50, 0xed, 0x55, 0xba, 1, 0);
const kinds: Record<number, string> = { 1: "compute", 2: "sm" };

/** Like ["compute_100", "sm_80"], sorted. */
export function gpusOf(library: Buffer): string[] {
  const found = new Set<string>();
  for (let start = library.indexOf(beginning); start >= 0; start = library.indexOf(beginning, start + 4)) {
    let at = start + library.readUInt16LE(start + 6);
    const end = at + Number(library.readBigUInt64LE(start + 8));
    while (at < end) {
      found.add(`${kinds[library.readUInt16LE(at)]}_${library.readUInt32LE(at + 28)}`);
      at += library.readUInt32LE(at + 4) + Number(library.readBigUInt64LE(at + 8));
    }
  }
  return [...found].sort();
}
