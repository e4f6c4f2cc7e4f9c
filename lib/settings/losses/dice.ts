/** Soft dice loss (Milletari et al., 3DV 2016), computed in native/loss/dice.cc. */
import { maskLoss } from "./maskLoss.js";

export const dice = maskLoss("dice", {
  weight: 1,
  settings: {
    diceSmooth: {
      type: "number",
      exclusiveMinimum: 0,
      default: 1,
      description: "Smoothing term of the dice loss.",
    },
  },
});
