/**
 * SHA-256 of PyTorch's archives of libtorch by file name, written by `node scripts/archiveHashes.mjs` before a release. An
 * archive that is not listed is trusted for coming from PyTorch over HTTPS, and a note says so.
 */
export const archiveSha256: Readonly<Record<string, string>> = {
  "libtorch-shared-with-deps-2.13.0+cpu.zip": "edbf4cbed78433d803e90a65f1752e57783d164bce66c95c0872b2ab8f5c159e",
  "libtorch-shared-with-deps-2.13.0+cu130.zip": "945c5a3d946a28b387ad9dc9fddda7ba03e35fae1375b84ebff15df789436f82",
  "libtorch-shared-with-deps-2.13.0+cu132.zip": "79fce57974149b92db6d662e382205c4e16fc73d21fd6fffcd3246288cfa74aa",
  "libtorch-macos-arm64-2.13.0.zip": "1e10c6c4dc2764150c9fb2ad28e1889191302734e7f939108e5d2f22f21a06f8",
  "libtorch-win-shared-with-deps-2.13.0+cpu.zip": "e1cd3950adc30c54c364eaaf44c2b0caf1eafee29a6e811c805e6fe1ce912759",
  "libtorch-win-shared-with-deps-2.13.0+cu130.zip": "be25958466f64d551221c3525f5d878200d3e3ef7c6eb36af6a282f6f6076dac",
};
