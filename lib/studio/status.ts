/** The HTTP status of an error, by its code. */
import type { ErrorCode } from "../errors.js";

const statuses: [pattern: RegExp, status: number][] = [
  [/^ERR_NOT_FOUND$/, 404],
  [/^ERR_(CONFLICT|STATE|LOCKED|OUTPUT_EXISTS)$/, 409],
  [/^ERR_SIGN_IN$/, 401],
  // What was asked is right, and the files that it needs are not.
  [/^ERR_(IMAGE_\w+|LABEL_VALUES|ANNOTATION|SIZE_MISMATCH|CHECKPOINT_\w+)$/, 422],
  [/^ERR_(LIBTORCH_\w+|NATIVE_LOAD|CUDA_\w+|DEVICE_UNAVAILABLE|OUT_OF_MEMORY)$/, 503],
  [/^ERR_(INVALID_\w+|TOO_FAR_APART|CONFIG|SPLIT|DATASET|NO_DATA|PATH)$/, 400],
];

export function statusOf(code: ErrorCode): number {
  return statuses.find(([pattern]) => pattern.test(code))?.[1] ?? 500;
}
