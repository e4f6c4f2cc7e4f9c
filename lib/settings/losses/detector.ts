/** The losses of the detector (stage 1), in the order of native/loss/detection.h: of classes, L1 and GIoU of boxes. */
import type { DescribedNumber } from "../kinds.js";

const weight = { type: "number", minimum: 0 } as const;

export const detectorLosses = {
  names: ["ce", "bbox", "giou"],
  settings: {
    ceLossWeight: { ...weight, default: 1, description: "Weight of the class loss." },
    bboxLossWeight: { ...weight, default: 5, description: "Weight of the L1 loss of boxes." },
    giouLossWeight: { ...weight, default: 2, description: "Weight of the GIoU loss of boxes." },
  },
} as const satisfies { names: readonly string[]; settings: Record<string, DescribedNumber> };

export type DetectorLossName = (typeof detectorLosses.names)[number];
