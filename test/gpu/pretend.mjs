/**
 * The pretend CUDA device of test/native/fake_cuda: where it is built, how a process gets to see it, what it reports.
 *
 * @typedef {object} Counts
 * @property {number} launches
 * @property {number} waits
 * @property {number} eventWaits
 * @property {number} toDevice
 * @property {number} toHost
 * @property {number} onDevice
 * @property {number} events
 * @property {number} allocations
 * @property {number} pinnedBlocks
 * @property {number} replays
 * @property {Record<string, number>} [operators] launches by operator
 * @property {Record<string, number>} [waitsFor] waits by reason and place
 *
 * @typedef {object} PretendReport what one process did on the device
 * @property {number} process
 * @property {Counts} total
 * @property {(Counts & { what: "step" | "span" })[]} spans a step ends before the optimiser's update, a span where resetDevicePeak
 *   is called
 * @property {Record<string, number>} hazards
 * @property {Record<string, number>} notes
 * @property {{ allocated: number; peak: number; outOfMemory: number; context: string | null }[]} devices `context`: the place
 *   that opened the device's context; null when none did
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");

export const pretendFolder = join(resolve(root, process.env.CELLSAM_TEST_PROGRAMS ?? "build/test"), "fake_cuda");
const libtorch = join(pretendFolder, "libtorch");
const engines = join(pretendFolder, "engine");

/** @param {string} library */
function built(library) {
  const name = existsSync(engines) && readdirSync(engines).find((file) => file.startsWith(library));
  return name ? join(engines, name) : null;
}

// Each operator's result is allocated once more for the host: what is freed should stay with the process, since faults cost time.
const malloc = "glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=1073741824";

const engine = built("libcellsam_engine");
/** libcellsam_cuda with loops in the place of kernels. */
export const pretendKernels = built("libcellsam_cuda");

/** Whether it is built: on Linux, and with a libtorch that has no CUDA of its own. */
export const hasPretendDevice = engine !== null && existsSync(join(libtorch, "lib", "libtorch_cuda.so"));

/**
 * The environment of a process that sees the device; test/native/fake_cuda/settings.h has more variables.
 * @param {Record<string, string>} more
 * @returns {Record<string, string>}
 */
export function pretendEnvironment(more = {}) {
  const libraries = [join(pretendFolder, "driver"), join(libtorch, "lib"), process.env.LD_LIBRARY_PATH];
  return {
    CELLSAM_LIBTORCH: libtorch,
    CELLSAM_ENGINE: engine ?? "",
    GLIBC_TUNABLES: malloc,
    OMP_NUM_THREADS: "1", // two files of tests run at a time
    LD_LIBRARY_PATH: libraries.filter(Boolean).join(delimiter),
    ...more,
  };
}

/**
 * The lines of a report: hazards as they were met, and what each process says that has ended by itself.
 * @param {string} path
 * @returns {{ hazards: string[]; processes: PretendReport[] }}
 */
export function readReport(path) {
  const lines = (existsSync(path) ? readFileSync(path, "utf8") : "")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  return {
    hazards: lines.filter((line) => "HAZARD" in line).map(({ HAZARD, at }) => `${HAZARD} @ ${at}`),
    processes: lines.filter((line) => "total" in line),
  };
}
