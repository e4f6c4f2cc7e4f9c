/**
 * The one error class that callers of the package see, and every code that it can carry, those of the engine too. `code` is
 * stable and made for programs, `message` says what to do, `detail` holds the facts of the case (paths, names, sizes) as plain
 * JSON.
 */

/** When each code is thrown; `npm run check` compares the list with the sources, and docs/errors.md is made of it. */
export const errorCodes = {
  // Set-up
  ERR_LIBTORCH_NOT_FOUND: "No libtorch was found; `cellsam setup` fetches one.",
  ERR_LIBTORCH_VERSION: "A libtorch was found, but no engine of this package was built for its major.minor version.",
  ERR_NATIVE_LOAD: "A native library is missing, cannot be loaded, or belongs to another version of the package.",
  ERR_CUDA_DRIVER_TOO_OLD: "CUDA was asked for, and the GPU driver is older than the CUDA of this libtorch.",
  ERR_DEVICE_UNAVAILABLE: "The device that was asked for does not exist, or this libtorch cannot use it.",
  ERR_SETUP: "`cellsam setup` got no libtorch from any source, or has nowhere to put it.",
  ERR_DOWNLOAD: "A file could not be downloaded.",
  ERR_CHECKSUM: "A downloaded file is damaged, or another than expected.",
  ERR_ARCHIVE: "A downloaded archive is damaged, or no archive.",

  // Calls and settings
  ERR_CONFIG: "A setting is unknown, missing or out of range, or settings contradict each other.",
  ERR_INVALID_ARGUMENT: "An argument or option has the wrong type, an unknown name, or a value out of range.",
  ERR_STATE: "The call does not fit what came before it, such as training without an open stage.",
  ERR_DISPOSED: "The session, the process or the worker was closed before the command could run or end.",
  ERR_CANCELLED: "A command was cancelled; callers of a session see the reason of their AbortSignal instead.",
  ERR_STOPPED: "A command or a trial was stopped from outside, and saved so that it can be resumed.",

  // Images, masks and splits
  ERR_DATASET:
    "Images or masks are broken, unmatched or ambiguous; `detail.problems` lists all of them, each with a code of this section.",
  ERR_PATH: "A folder of images or masks is missing, cannot be listed, or has the name of a picture.",
  ERR_NO_DATA: "A folder holds no image or no mask, or no mask holds a cell.",
  ERR_NO_MASK: "An image has no mask.",
  ERR_NO_IMAGE: "A mask has no image.",
  ERR_DUPLICATE_IMAGE: "Several images have the same name.",
  ERR_DUPLICATE_MASK: "Several masks belong to one image.",
  ERR_SIZE_MISMATCH: "A mask has another height or width than its image.",
  ERR_IMAGE_BROKEN: "An image file is damaged.",
  ERR_IMAGE_UNSUPPORTED: "An image file is of a kind that is not read, or not with these settings.",
  ERR_IMAGE_TOO_LARGE: "An image has more pixels than `max_pixels` allows.",
  ERR_IMAGE_VALUES: "An image has channels that need a setting, or values that are not finite, negative or too large.",
  ERR_LABEL_VALUES:
    "A mask is no label map: binary, of classes, resized with interpolation, inverted, coloured, a photograph, or with values that are no whole numbers from 0 to 2147483647.",
  ERR_ANNOTATION:
    "Annotations are damaged, of no kind that is read, or lose more than half of an image's cells (outside it, covered, without outline).",
  ERR_INVALID_IMAGE: "Pixels given to the engine have a wrong shape or number of channels, or are not finite.",
  ERR_INVALID_LABELS: "Labels given to a store of tiles have a wrong shape, or values that name no cells.",
  ERR_SPLIT:
    "Images cannot be divided as asked: too few images or groups, or a file of splits or groups that does not fit them.",

  // Files
  ERR_FILE: "A file cannot be read or written, or is not what its name says.",
  ERR_IO: "A store of tiles cannot be read or written.",
  ERR_STORE_CORRUPT: "A store of tiles is damaged, or of another version of the package.",
  ERR_OUTPUT_EXISTS:
    "The output that would be written exists already; `overwrite` replaces it, `resume` or `skipExisting` continues it.",
  ERR_INCOMPLETE: "Shards that are to be merged have not done all images yet.",
  ERR_LOCKED: "Another process trains in this experiment.",
  ERR_PICTURE: "A picture or a chart could not be drawn.",

  // Weights and checkpoints
  ERR_CHECKPOINT_NOT_FOUND: "There is no checkpoint of this name.",
  ERR_CHECKPOINT_READ: "A checkpoint cannot be read.",
  ERR_CHECKPOINT_WRITE: "A checkpoint cannot be written.",
  ERR_CHECKPOINT_CORRUPT: "A checkpoint is damaged.",
  ERR_CHECKPOINT_FORMAT: "A file is no checkpoint of a known kind.",
  ERR_CHECKPOINT_UNSAFE: "A .pth file asks for the execution of code.",
  ERR_CHECKPOINT_MISMATCH: "The tensors of a checkpoint are not those of the model.",
  ERR_CHECKPOINT_NOT_FINITE: "A checkpoint holds numbers that are not finite.",

  // Training and prediction
  ERR_OUT_OF_MEMORY: "The memory of the computer or of the GPU does not suffice.",
  ERR_SLOW_ATTENTION: "torch would compute bf16 attention on the GPU with the formula that keeps every score in memory.",
  ERR_NON_FINITE_LOSS: "The losses or gradients of a step are not finite; the weights are those before the step.",
  ERR_NON_FINITE_COST: "Predictions that are to be matched with cells are not finite.",
  ERR_NON_FINITE: "The network returned NaN or infinity while it predicted.",
  ERR_TOO_FAR_APART: "The points that show a cell lie too far apart: no tile of the image has all of them.",
  ERR_INFEASIBLE_ASSIGNMENT: "Every assignment contains a pair of infinite cost.",
  ERR_NO_BEST_MODEL: "No epoch of a stage had a finite loss.",
  ERR_ALL_FOLDS_FAILED: "No fold was trained to its end; `detail.errors` has the reason of each.",
  ERR_NOTHING_TO_RESUME: "The folder of the experiment holds no state from which a run can continue.",
  ERR_RESUME: "What a run or a search depends on has changed since it was stopped.",
  ERR_PEER_LOST: "A process of several that train one model together has ended or does not answer; what was saved is intact.",
  ERR_STATE_MISMATCH: "The saved state of a training is that of another stage, optimizer or set of parameters.",

  ERR_QUEUE: "A queue cannot be used: its packages are not installed, or its server refuses or does not answer.",

  // Search
  ERR_SEARCH_SIZE: "A search would have more trials than `maxTrials`.",
  ERR_SEARCH_RUNNING: "Another process is searching in the same folder.",
  ERR_SEARCH_FAILED: "No trial of a search has the number that it ranks by.",
  ERR_NO_METRIC: "The results of a trial do not hold the number that the search ranks by.",
  ERR_TRIAL_DIED: "The process of a trial, or of a fold, ended without a result.",

  // Studio
  ERR_CONFLICT: "The labels of an image were changed elsewhere since the revision that an edit names.",
  ERR_NOT_FOUND: "Studio has no image, cell, run or job of this number or name, or no page at this address.",
  ERR_SIGN_IN: "A request to studio has no token, or comes from a page of another origin or for another host.",

  // Faults of this package or of torch
  ERR_TORCH: "torch refused an operation.",
  ERR_INTERNAL: "Something is wrong in this package.",
  ERR_UNEXPECTED:
    "An exception that is no CellsamError, where it is recorded: for a failed fold or trial, or by the command line.",
} as const;

/** One of the codes that docs/errors.md lists. */
export type ErrorCode = keyof typeof errorCodes;

/** An error as results, events and logs hold it. */
export interface Failure {
  code: ErrorCode;
  message: string;
  /** The system's own code where an error of it is the cause, such as ENOSPC. */
  system?: string;
}

/** What the package throws. `detail` holds the facts of the case (paths, names, sizes) as plain JSON. */
export class CellsamError extends Error {
  readonly code: ErrorCode;
  readonly detail: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: { detail?: Record<string, unknown>; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "CellsamError";
    this.code = code;
    this.detail = options.detail ?? {};
  }

  toJSON(): { name: string; code: ErrorCode; message: string; detail: Readonly<Record<string, unknown>> } {
    return { name: this.name, code: this.code, message: this.message, detail: this.detail };
  }
}

/** Any error as results, events and logs hold it. */
export function failureOf(error: unknown): Failure {
  const system = systemCode(error);
  const message = error instanceof Error ? error.message : String(error);
  return { code: codeOf(error, system), message, ...(system && { system }) };
}

/** A full disk and the like are no fault of this package, wherever they are met. */
function codeOf(error: unknown, system: string | undefined): ErrorCode {
  if (error instanceof CellsamError) return error.code;
  return system !== undefined && machineSystemCodes.has(system) ? "ERR_FILE" : "ERR_UNEXPECTED";
}

/** The code of the operating system in an error or its causes, such as ENOSPC. */
function systemCode(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as NodeJS.ErrnoException;
    if (code && /^E[A-Z0-9]+$/.test(code)) return code;
  }
  return undefined;
}

/** A disk that is full or fails, memory that is short, too many open files, a file system on a network that is away. */
const machineCodes = new Set<ErrorCode>([
  "ERR_IO",
  "ERR_CHECKPOINT_WRITE",
  "ERR_OUT_OF_MEMORY",
  "ERR_TRIAL_DIED",
  "ERR_PEER_LOST",
]);
const machineSystemCodes = new Set(
  "ENOSPC EDQUOT EFBIG EIO EROFS ENOMEM EAGAIN EMFILE ENFILE ESTALE ETIMEDOUT EBUSY".split(" "),
);

/** Whether the state of the machine, and not the settings or the data, made something fail: another try may succeed. */
export function isMachineFault({ code, system }: Failure): boolean {
  return machineCodes.has(code) || (system !== undefined && machineSystemCodes.has(system));
}

/** Native errors arrive as plain `Error`s with `code` and `detail`; everything else passes through unchanged. */
export function toCellsamError(error: unknown): unknown {
  if (error instanceof CellsamError || !(error instanceof Error)) return error;
  const { code, detail } = error as Error & { code?: unknown; detail?: unknown };
  if (typeof code !== "string" || !code.startsWith("ERR_") || detail === undefined) return error;
  return new CellsamError(code as ErrorCode, error.message, { detail: detail as Record<string, unknown>, cause: error });
}
