/** What the files of a benchmark hand each other: rows as bench/rows has them, what a side is asked and returns, and what is written down. */

/** Plain PyTorch in Python, the native bench program, or the package in Node.js. */
export type SideKind = "peer" | "native" | "package";

/** One way to do a row's work, for instance `{ impl: "own-sdpa", dtype: "bf16" }`. */
export type Variant = Record<string, string | number | boolean>;
export type Parameters = Record<string, number | boolean>;

export interface SideRow {
  kind: SideKind;
  row: string;
}

export interface ContestSide extends SideRow {
  variants: Variant[];
}

/** How the inputs of a row are drawn; rows with the same key share them. */
export interface Fixture {
  key: string;
  steps: (SideRow & { parameters?: Parameters })[];
}

/** What both kinds of row need to be opened on one side. */
export interface Work {
  fixture: Fixture;
  parameters?: Parameters;
}

/** Peer against product. */
export interface Contest extends Work {
  order: number;
  name: string;
  title: string;
  devices?: Device[];
  /** The ratio that we aim at. */
  target?: Partial<Record<Device, number>>;
  /** Arithmetic of one repetition, for the share of the matrix peak. */
  flop?: number;
  /** A repetition takes seconds: it is not repeated within a measurement. */
  slow?: boolean;
  /** How many things a repetition does: times are divided by it. */
  per?: number;
  /** Of the checked numbers, as a share of the peer's. */
  tolerance?: number;
  /** False where the peak of the process says nothing. */
  memory?: boolean;
  note?: string;
  peer: ContestSide;
  product: ContestSide;
  /** Seconds of the whole, in place of those of a repetition. */
  total?(answer: Timed, unit: Unit, side: "peer" | "product"): number;
}

/** Seconds over sizes, each side for itself. */
export interface Curve {
  order: number;
  name: string;
  title: string;
  devices?: Device[];
  sizes: number[];
  sides: (SideRow & { variant?: Variant; sizes?: number[] })[];
  at(size: number): Work & Pick<Contest, "slow">;
}

export type Device = "cpu" | "cuda";
/** CPU seconds of the process, or seconds on the wall. */
export type Unit = "cpu" | "wall";

export interface Times {
  cpu: number;
  wall: number;
}

/** One repetition; `cold` and `warm` are the parts of a row that measures two things. */
export interface Timed extends Times {
  cold?: Times;
  warm?: Times;
}

/** What a side is asked, a line of JSON each. */
export interface Request {
  op: "fixture" | "open" | "check" | "run" | "peak";
  row?: string;
  folder?: string;
  device?: Device;
  threads?: number;
  precision?: Variant[string];
  parameters?: Parameters | Variant;
  variant?: Variant;
  times?: number;
}

/** What it returns: to `check` the numbers in which sides must agree, besides the times. */
export interface Answer extends Timed {
  bytes: number;
  [number: string]: unknown;
}

/** What package_worker.mjs calls of a file in package_rows/; `run` may return parts of its time, see `Timed`. */
export interface PackageRow {
  check(): Promise<Record<string, number>>;
  run(): Promise<object>;
}

export interface OpenRequest {
  folder: string;
  device: Device;
  threads: number;
  precision: "fp32" | "bf16";
  parameters: Record<string, number>;
}

/** The machine and the tools of a run of the benchmark. */
export interface Tools {
  folder: string;
  peer: string;
  python: string;
  libtorch: string;
  program: string;
  device: Device;
  threads: number;
  pairs: number;
  select: boolean;
  say(text: string): void;
}

export interface Setup extends Tools {
  /** FLOP per second of a large bf16 product. */
  peakRate: number;
}

export interface Check {
  name: string;
  peer: number;
  product: number;
  tolerance: number;
}

/** One way as it was tried: with its seconds, or with what went wrong. */
export interface Tried {
  variant: Variant;
  seconds?: number;
  check?: Answer;
  peak?: number;
  error?: string;
}

export interface Selection {
  peer: Variant;
  product: Variant;
  tried: { peer: Tried[]; product: Tried[] };
}

export interface SideResult {
  variant: Variant;
  median: number;
  /** Of memory, in bytes. */
  peak: number;
  /** The runs that the median is taken of, as they were measured and in the unit of the row. */
  seconds?: number[];
  runs?: Timed[];
  times?: number;
}

/** What the table shows of a contest. */
export interface ContestResult {
  name: string;
  title: string;
  target?: number | undefined;
  ratio: number;
  range: [least: number, most: number];
  wallRatio: number;
  share?: number;
  peer: SideResult;
  product: SideResult;
  note?: string | undefined;
  memory?: boolean | undefined;
  checks?: Check[];
  tried?: Selection["tried"];
  error?: undefined;
}

export interface FailedRow {
  name: string;
  title: string;
  error: string;
  note?: undefined;
}

export interface CurveResult {
  name: string;
  title: string;
  side: "peer" | "product";
  points: { size: number; seconds: number }[];
  exponent: number;
  factor: number;
}

export interface Results {
  device: Device;
  threads: number;
  pairs: number;
  rows: (ContestResult | FailedRow)[];
  growth: CurveResult[];
}
