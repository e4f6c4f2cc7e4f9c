/** What `cellsam bench` measured, as it prints it and writes it: nothing in it names the user, the computer or a folder. */
import { strictJson } from "../files/json.js";
import { toSnake } from "../spelling.js";

export const rowOrder = ["encoder", "stage1_step", "stage2_step", "stage2_step_kept", "predict", "click"] as const;

export interface BenchRow {
  name: (typeof rowOrder)[number];
  /** Computed at once. */
  images: number;
  /** How often it was measured; the speed is the median's. */
  calls: number;
  imagesPerSecond: number;
  /** Of one image, by formula from the sizes of the network, in 10^9. */
  gflop: number;
  /** Of the peak. */
  shareOfPeak: number;
}

export interface BenchResult {
  format: "cellsam-bench-1";
  version: string;
  /** Date and time in UTC, ISO 8601. */
  measured: string;
  /** `busy`: share of the processors that other programs used in the minute before; null where it is not known. */
  system: { platform: string; node: string; cpu: string; cores: number; cpuCapability: string; busy: number | null };
  /** `computeCapability` and `memoryGb` of a GPU, else null. */
  device: { kind: "cpu" | "cuda"; name: string; computeCapability: string | null; memoryGb: number | null };
  driver: { version: string | null; cuda: string } | null;
  /** `variant` is the build, such as cu130; `kernels` the CUDA kernels of this package that are in use. */
  torch: { version: string; variant: string; kernels: string[] };
  settings: {
    size: string;
    /** A name of shipped weights, "random", or "own" for any file. */
    weights: string;
    precision: "fp32" | "bf16";
    threads: number;
    batchSize: number;
    cells: number;
    tileSize: number;
  };
  /** Of a product of two square matrices of `side` rows in the same precision on the same device, in 10^12 operations a second. */
  peak: { tflops: number; side: number };
  rows: BenchRow[];
}

const titles: Record<BenchRow["name"], string> = {
  encoder: "image encoder, forward",
  stage1_step: "stage 1 step, all of CellFinder",
  stage2_step: "stage 2 step, neck",
  stage2_step_kept: "stage 2 step, kept features",
  predict: "image to cells",
  click: "point to cell, embedded image",
};

/** Lines of at most 80 columns. */
export function benchTable({ device, driver, torch, settings, peak, rows }: BenchResult): string {
  const threads = device.kind === "cpu" ? `, ${settings.threads} threads` : "";
  const gpu = driver && device.kind === "cuda" ? `, driver ${driver.version ?? "?"} (CUDA ${driver.cuda})` : "";
  return [
    `${device.name}${threads}${gpu}, torch ${torch.version} (${torch.variant})`,
    `${settings.size} in ${settings.precision}, batches of ${settings.batchSize}, ${settings.cells} cells in an image`,
    `peak of a matrix product: ${peak.tflops.toPrecision(3)} TFLOP/s`,
    "",
    `${"".padEnd(33)}${"images/s".padStart(10)}${"s/image".padStart(10)}${"GFLOP".padStart(9)}${"of peak".padStart(9)}`,
    ...rows.map(({ name, imagesPerSecond, gflop, shareOfPeak }) => {
      const numbers = [
        figure(imagesPerSecond).padStart(10),
        figure(1 / imagesPerSecond).padStart(10),
        figure(gflop).padStart(9),
      ];
      return `${titles[name].padEnd(33)}${numbers.join("")}${`${(100 * shareOfPeak).toFixed(1)} %`.padStart(9)}`;
    }),
    "",
    "GFLOP of an image, as its network is published: the mask decoder of stage 2 and",
    "of predictions needs fewer here, so that its share of the peak may exceed 100 %.",
  ].join("\n");
}

/** Three digits that count, without an exponent. */
function figure(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(Math.max(0, 2 - Math.floor(Math.log10(value))));
}

/** As it is written, with the names in snake_case. */
export function benchJson(result: BenchResult): string {
  return `${strictJson(toSnake(result))}\n`;
}
