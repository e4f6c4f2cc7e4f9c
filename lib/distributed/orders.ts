/** What process 0 tells the others, as JSON. Sessions are known by the number that process 0 gives them. */
import type { LossWeights, SessionOptions, StageOptions, TrainEpochOptions, ValidateOptions } from "../engine/session.js";
import type { Failure } from "../errors.js";

/** Tiles as base64 of their 32-bit numbers. */
type Tiles<Options> = Omit<Options, "indices" | "signal" | "onStep" | "onNotice"> & { indices: string };

/** A command of a session that all processes run. */
export type SharedCommand =
  | { command: "beginStage"; options: StageOptions }
  | { command: "setLossWeights"; weights: LossWeights }
  | { command: "trainEpoch"; options: Tiles<TrainEpochOptions> }
  | { command: "validate"; options: Tiles<ValidateOptions> }
  | { command: "observe"; loss: number }
  | { command: "loadState"; path: string; sha256: string }
  | { command: "transferWeights"; to: "image_encoder" | "cellfinder" }
  | { command: "endStage" }
  | { command: "shareWeights" };

export type Order =
  | { type: "hello"; version: string; settings: unknown }
  | { type: "open"; session: number; options: SessionOptions }
  | { type: "command"; session: number; call: SharedCommand }
  /** Each process does its share of the work with the session, and passes its answer to process 0. */
  | { type: "share"; session: number; work: unknown }
  | { type: "close"; session: number }
  /** The last one. `failure`: why process 0 ends; `result`: what it returns otherwise. */
  | { type: "end"; failure: Failure | null; result: unknown };

export function toText(tiles: Int32Array): string {
  return Buffer.from(tiles.buffer, tiles.byteOffset, tiles.byteLength).toString("base64");
}

export function toTiles(text: string): Int32Array {
  return new Int32Array(Uint8Array.from(Buffer.from(text, "base64")).buffer);
}
