/** Focal loss (Lin et al., ICCV 2017), computed in native/loss/focal.cc. */
import { maskLoss } from "./maskLoss.js";

export const focal = maskLoss("focal", {
  weight: 1,
  settings: {
    focalGamma: {
      type: "number",
      minimum: 0,
      default: 2,
      description: "Focusing exponent of the focal loss; higher means harder pixels count more.",
    },
    focalAlpha: {
      type: "number",
      maximum: 1,
      default: 0.25,
      description: "Weight of positives in the focal loss, 1 - alpha of the others; below 0: no weights.",
    },
  },
  searched: { focalGamma: "Focusing exponents of the focal loss." },
});
