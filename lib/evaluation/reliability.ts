/** Whether scores mean what they say: of detections with a score near 0.7, seven in ten should be cells. */
import { type CocoImage, isTrue } from "./coco.js";

/** The detections whose scores lie in an interval. */
export interface ReliabilityBin {
  /** Scores from `from`, to below `to`; the last one includes 1. */
  from: number;
  to: number;
  detections: number;
  /** null without detections, as is `precision`. */
  meanScore: number | null;
  /** Share of them that match a true cell at IoU >= 0.5. */
  precision: number | null;
}

/** A reliability diagram in numbers. */
export interface Reliability {
  /** Ten of equal width, from 0 to 1. */
  bins: ReliabilityBin[];
  /**
   * Expected calibration error (Guo et al., ICML 2017): the mean over detections of how far the mean score of their bin is from
   * its precision. 0 to 1; null without detections.
   */
  calibrationError: number | null;
}

const count = 10;

/** Over all images; null where predictions of an image have no scores. */
export function reliability(images: readonly (CocoImage | null)[]): Reliability | null {
  if (images.includes(null)) return null;
  const sums = Array.from({ length: count }, () => ({ detections: 0, score: 0, right: 0 }));
  for (const image of images as readonly CocoImage[]) {
    for (const [row, score] of image.scores.entries()) {
      const right = isTrue(image, row);
      const bin = sums[Math.min(count - 1, Math.floor(score * count))];
      if (right === null || !bin) continue;
      bin.detections += 1;
      bin.score += score;
      bin.right += right ? 1 : 0;
    }
  }
  const all = sums.reduce((sum, { detections }) => sum + detections, 0);
  const away = sums.reduce((sum, { score, right }) => sum + Math.abs(score - right), 0);
  const bins = sums.map(({ detections, score, right }, i) => ({
    from: i / count,
    to: (i + 1) / count,
    detections,
    meanScore: detections > 0 ? score / detections : null,
    precision: detections > 0 ? right / detections : null,
  }));
  return { bins, calibrationError: all > 0 ? away / all : null };
}
