/** Difference of Sobel edges, computed in native/loss/boundary.cc. */
import { maskLoss } from "./maskLoss.js";

export const boundary = maskLoss("boundary", { weight: 1 });
