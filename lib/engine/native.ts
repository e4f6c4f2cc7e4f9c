/**
 * The only file that touches binding.node: finds and loads it on first use, declares its types, and turns native errors into
 * CellsamErrors. Importing this file loads nothing.
 */
import { createRequire } from "node:module";
import { CellsamError, toCellsamError } from "../errors.js";
import { namedEngine, resolveEngine } from "../runtime/engine.js";
import { type Libtorch, type ResolveOptions, resolveLibtorch } from "../runtime/resolve.js";
import { installVisualCpp, missingVisualCpp } from "../runtime/visualCpp.js";
import { packageFolder } from "../version.js";
import { fromBorder } from "./names.js";
import { namingOption } from "./unknownOption.js";

export type NumberArray = Uint8Array | Uint16Array | Int32Array | Float32Array | Float64Array;

/**
 * A dense, row-major array of numbers, as argument and as result. The memory of an argument is used in place: do not write to
 * it, and do not transfer its buffer, before the command has ended.
 */
export interface NdArray<T extends NumberArray = NumberArray> {
  data: T;
  shape: number[];
}

export interface DriverInfo {
  /** The highest CUDA version that the driver supports, e.g. "12.8". */
  cuda: string;
  /** The driver's own version, e.g. "570.124.06"; null where the system does not report it. */
  version: string | null;
  /** Memory in bytes; `free` is null where the system does not report it. */
  devices: { name: string; memory: number; free: number | null; computeCapability: string }[];
}

/** Bytes that torch holds on a device; `free` and `total` as the device reports them. */
export interface DeviceMemory {
  allocated: number;
  reserved: number;
  maxAllocated: number;
  maxReserved: number;
  free: number;
  total: number;
}

/** Objects that the binding holds at this moment in this process. All are zero when nothing is in use. */
export interface LiveObjects {
  sessions: number;
  jobs: number;
  /** Typed arrays of JavaScript that native code uses. */
  borrowed: number;
  /** Typed arrays over native memory that JavaScript still references. */
  lent: number;
}

export interface NativeJob<T = unknown> {
  promise: Promise<T>;
  cancel(): void;
}

export interface NativeSession {
  /** `atOnce`: of how many commands that run at the same time it may be one. Default 1: it runs alone. */
  call(
    command: string,
    args: Record<string, unknown>,
    onEvent?: (event: unknown) => void,
    cancelled?: boolean,
    atOnce?: number,
  ): NativeJob;
  dispose(): Promise<void>;
}

interface BindingSession extends Omit<NativeSession, "dispose"> {
  open(options: Record<string, unknown>): NativeJob<null>;
  dispose(): Promise<null>;
}

/** A file that this process has locked, or has tried to. */
export interface FileLock {
  /** "taken": by another process, thread or object. "unsupported": the file system has no locks. */
  readonly state: "held" | "taken" | "unsupported";
  /** Replaces the content of the file. @throws CellsamError ERR_IO */
  write(text: string): void;
  release(): void;
}

interface Binding {
  loadEngine(options: { engine: string; libtorch?: string; torch?: string }): void;
  engineCall(command: string, args: Record<string, unknown>): unknown;
  engineCallAsync(command: string, args: Record<string, unknown>): NativeJob;
  Session: new () => BindingSession;
  FileLock: new (path: string) => FileLock;
  driver(): DriverInfo | null;
  liveObjects(): LiveObjects;
  shutdown(): void;
}

let binding: Binding | undefined;
let engine: { path: string; libtorch: Libtorch | null } | undefined;

function loadBinding(): Binding {
  if (binding) return binding;
  const require = createRequire(import.meta.url);
  const find = require("node-gyp-build") as (root: string) => Binding;
  try {
    binding = find(packageFolder);
  } catch (cause) {
    // Windows reports only that the library, or one that it needs, was not found.
    const missing = process.platform === "win32" ? missingVisualCpp() : [];
    const advice =
      missing.length > 0
        ? `${missing.join(", ")} of the Visual C++ runtime is missing. Type: ${installVisualCpp}`
        : "Reinstall the package, or run `npm run build` in a checkout.";
    throw new CellsamError(
      "ERR_NATIVE_LOAD",
      `binding.node could not be loaded for ${process.platform}-${process.arch}: ${(cause as Error).message.trim()}. ${advice}`,
      { cause, detail: { root: packageFolder } },
    );
  }
  // process.exit() tears the process down without running the environment's own hooks: running jobs must end before.
  process.on("exit", () => binding?.shutdown());
  return binding;
}

/**
 * Loads libtorch and the engine, once per process; later calls return at once. CELLSAM_ENGINE names another engine file.
 * @throws CellsamError ERR_NATIVE_LOAD, ERR_LIBTORCH_NOT_FOUND, ERR_LIBTORCH_VERSION
 */
export function loadEngine(options: ResolveOptions = {}): { path: string; libtorch: Libtorch | null } {
  if (engine) return engine;
  const native = loadBinding();
  const own = namedEngine();
  if (own && !own.torch) {
    guarded(() => native.loadEngine({ engine: own.path }));
    engine = { path: own.path, libtorch: null };
    return engine;
  }
  const libtorch = resolveLibtorch(options);
  const { path, torch } = own?.torch ? { ...own, torch: own.torch } : resolveEngine(packageFolder, libtorch);
  guarded(() => native.loadEngine({ engine: path, libtorch: libtorch.path, torch }));
  engine = { path, libtorch };
  return engine;
}

/** Runs an engine command on the calling thread: for short work only. */
export function engineCall<T = unknown>(command: string, args: Record<string, unknown> = {}): T {
  loadEngine();
  return guarded(() => loadBinding().engineCall(command, args) as T);
}

/** Runs an engine command on a thread of its own. */
export async function engineCallAsync<T = unknown>(command: string, args: Record<string, unknown> = {}): Promise<T> {
  loadEngine();
  return (await translated(guarded(() => loadBinding().engineCallAsync(command, args))).promise) as T;
}

/** Opens a native session; session.ts has the kinds and their commands. */
export async function openNative(options: Record<string, unknown>): Promise<NativeSession> {
  loadEngine();
  const session = new (loadBinding().Session)();
  try {
    await translated(guarded(() => session.open(options))).promise;
  } catch (error) {
    await session.dispose();
    throw error;
  }
  return {
    call: (...command) => translated(guarded(() => session.call(...command))),
    dispose: async () => {
      await session.dispose();
    },
  };
}

/**
 * Opens a file, which is made if there is none, and locks it without waiting. The system frees the lock when the process ends.
 * @throws CellsamError ERR_IO when it cannot be opened
 */
export function lockFile(path: string): FileLock {
  return guarded(() => new (loadBinding().FileLock)(path));
}

/** The GPU driver as libcuda reports it, without libtorch; null when there is no driver or no GPU. */
export function driverInfo(): DriverInfo | null {
  return guarded(() => loadBinding().driver());
}

/**
 * Memory of a CUDA device; null for the CPU, without a loaded engine, and until torch has used the device. Initialises nothing.
 */
export function deviceMemory(device: string): DeviceMemory | null {
  if (!seesDevice(device)) return null;
  return fromBorder(engineCall("device.memory", { device })) as DeviceMemory | null;
}

/** Starts torch's peak counters again from the memory in use. */
export function resetDevicePeak(device: string): void {
  if (seesDevice(device)) engineCall("device.reset_peak", { device });
}

/** Returns memory that torch holds in reserve to the device. */
export function emptyDeviceCache(device: string): void {
  if (seesDevice(device)) engineCall("device.empty_cache", { device });
}

/** Whether the loaded engine has the device. A machine without it, or a CPU build of libtorch, is no error here. */
function seesDevice(device: string): boolean {
  if (!engine?.libtorch) return false;
  const { devices } = engineCall<{ devices: { kind: string }[] }>("info");
  return devices.filter(({ kind }) => kind === "cuda").length > indexOf(device);
}

/** N of "cuda:N"; 0 for "cuda". */
export function indexOf(device: string): number {
  return Number(device.slice("cuda:".length) || 0);
}

export function liveObjects(): LiveObjects {
  return loadBinding().liveObjects();
}

function guarded<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw namingOption(toCellsamError(error));
  }
}

function translated<T>(job: NativeJob<T>): NativeJob<T> {
  const promise = job.promise.catch((error: unknown) => {
    throw namingOption(toCellsamError(error));
  });
  return { promise, cancel: () => job.cancel() };
}
