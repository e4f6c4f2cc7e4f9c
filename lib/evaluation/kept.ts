/** What is measured of an image as JSON, for files and for other processes. */
import type { ImageSweep } from "../engine/inference.js";
import type { CocoImage } from "./coco.js";
import type { Measured } from "./model.js";
import { cocoPart } from "./pairs.js";

export interface Kept extends Omit<Measured, "sweep"> {
  /** The numbers of the COCO curve; `verdicts` in base64. */
  coco: { scores: number[]; verdicts: string; truth: number[] } | null;
  sweep: Record<keyof ImageSweep, number | number[]> | null;
}

export function keptOf({ image, promptIous, sweep }: Measured): Kept {
  const curve = image.metrics[cocoPart];
  const coco = curve && {
    scores: [...curve.scores],
    verdicts: Buffer.from(curve.verdicts).toString("base64"),
    truth: [...curve.truth],
  };
  return { image, promptIous, coco, sweep: sweep && numbers(sweep) };
}

function numbers(sweep: ImageSweep): Kept["sweep"] {
  const entries = Object.entries(sweep).map(([name, value]) => [name, typeof value === "number" ? value : [...value]]);
  return Object.fromEntries(entries) as Kept["sweep"];
}

export function measuredOf({ image, promptIous, coco, sweep }: Kept): Measured {
  const curve: CocoImage | null = coco && {
    scores: Float64Array.from(coco.scores),
    verdicts: new Uint8Array(Buffer.from(coco.verdicts, "base64")),
    truth: Float64Array.from(coco.truth),
  };
  const columns =
    sweep && Object.entries(sweep).map(([name, value]) => [name, typeof value === "number" ? value : Float64Array.from(value)]);
  return {
    image: { ...image, metrics: { ...image.metrics, [cocoPart]: curve } },
    promptIous,
    sweep: columns && (Object.fromEntries(columns) as unknown as ImageSweep),
  };
}
