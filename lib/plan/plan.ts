/** The content of a plan: what is known of a training before it starts. */
import type { DuplicatePair } from "../data/duplicates.js";
import type { Probe } from "./probe.js";
import type { RanksForecast } from "./ranks.js";
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
    /** Number of images by type of their pixels. */
    types: Record<string, number>;
    /** Sides in pixels. */
    sides: Spread;
    /** Decisions made while reading. */
    notes: string[];
  };
  cells: {
    count: number;
    perImage: Spread;
    /** Square root of the area, in pixels. */
    diameter: Spread;
    /** Cells whose diameter is more than half of a tile. */
    large: number;
    /** Cells that are whole in no tile. */
    cut: number;
  };
  tiles: { size: number; count: number; perTile: Spread; empty: number };
  splits: { train: SidePlan; val: SidePlan; test: SidePlan }[];
  /** Pairs of near-duplicates, and how many of them are on two sides of a split. */
  duplicates: { pairs: DuplicatePair[]; acrossSides: number };
  /**
   * `freeBytes` is null where the system does not report it; `featureBytes` is the most that features of frozen backbones can
   * take, null where it is not known.
   */
  disk: { storeBytes: number; freeBytes: number | null; modelBytes: number | null; featureBytes: number | null };
  /** Number of boxes that the detector returns for a tile; null where `sizeOverrides` change it and there is no probe. */
  queries: number | null;
  probe: Probe | null;
  /** null without a probe. */
  time: TimeForecast | null;
  /** Of the first split with several processes; null where they were not asked for. */
  together: RanksForecast | null;
  warnings: string[];
}
