/** What a plan says of a training before anything is trained. */
import type { DuplicatePair } from "../data/duplicates.js";
import type { Probe } from "./probe.js";
import type { TimeForecast } from "./time.js";

/** Smallest, median and largest. */
export interface Spread {
  min: number;
  median: number;
  max: number;
}

export interface SidePlan {
  images: number;
  tiles: number;
  /** Cells on the images of this side. */
  cells: number;
}

export interface Plan {
  images: {
    count: number;
    grey: number;
    rgb: number;
    /** How many images have which type of number. */
    types: Record<string, number>;
    /** Sides in pixels. */
    sides: Spread;
    /** What was decided while reading. */
    notes: string[];
  };
  cells: {
    count: number;
    perImage: Spread;
    /** Square root of the area, in pixels. */
    diameter: Spread;
    /** Cells that no tile holds whole. */
    cut: number;
  };
  tiles: { size: number; count: number; perTile: Spread; empty: number };
  splits: { train: SidePlan; val: SidePlan; test: SidePlan }[];
  /** Images that show the same, and those of them that stand on two sides of a split. */
  duplicates: { pairs: DuplicatePair[]; acrossSides: number };
  /** Free is null where the system does not tell; features are the most that frozen trunks' can come to, null where that is not known. */
  disk: { storeBytes: number; freeBytes: number | null; modelBytes: number | null; featureBytes: number | null };
  /** Boxes that the detector can answer for a tile; only a probe knows them where `sizeOverrides` change them. */
  queries: number | null;
  probe: Probe | null;
  /** From the probe. */
  time: TimeForecast | null;
  warnings: string[];
}
