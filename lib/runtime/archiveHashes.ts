/**
 * SHA-256 of PyTorch's archives of libtorch by file name, written by `node scripts/archiveHashes.mjs` before a release. An
 * archive that is not listed is trusted for coming from PyTorch over HTTPS, and a note says so.
 */
export const archiveSha256: Readonly<Record<string, string>> = {};
