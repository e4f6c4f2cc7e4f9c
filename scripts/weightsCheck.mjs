/** Checks a file of shipped weights by its safetensors header, without libtorch. */
import { readFileSync, statSync } from "node:fs";

const largest = 6e6;

/**
 * The problems of the file at `path`, in words; none for weights that may be released.
 * @param {string} path
 */
export function weightsProblems(path) {
  /** @type {Record<string, { dtype: string, data_offsets: [begin: number, end: number] }> & { __metadata__?: Record<string, string> }} */
  let header;
  let data;
  try {
    const bytes = readFileSync(path);
    const length = Number(bytes.readBigUInt64LE(0));
    header = JSON.parse(bytes.toString("utf8", 8, 8 + length));
    data = bytes.length - 8 - length;
  } catch (thrown) {
    const error = /** @type {NodeJS.ErrnoException} */ (thrown);
    return [error.code === "ENOENT" ? "is missing" : `is no safetensors file (${error.message})`];
  }
  const problems = [];
  const { __metadata__: metadata = {}, ...tensors } = header;
  const size = statSync(path).size;
  if (size > largest) problems.push(`has ${(size / 1e6).toFixed(1)} MB, more than ${largest / 1e6}`);
  if (!metadata["cellsam.sha256"]) problems.push("carries no checksum: it was not saved by this package");
  for (const [name, { dtype }] of Object.entries(tensors)) {
    if (dtype !== "F16") problems.push(`holds ${name} as ${dtype}, not F16`);
    if (!/^(model|cellfinder)\./.test(name)) problems.push(`holds ${name}, which belongs to no part of the network`);
  }
  for (const part of ["model.image_encoder.", "model.prompt_encoder.", "model.mask_decoder.", "cellfinder."]) {
    if (!Object.keys(tensors).some((name) => name.startsWith(part))) problems.push(`holds nothing of ${part}*`);
  }
  const end = Math.max(0, ...Object.values(tensors).map(({ data_offsets: [, last] }) => last));
  if (end !== data) problems.push(`has ${data} bytes of numbers where its header tells of ${end}`);
  return problems;
}
