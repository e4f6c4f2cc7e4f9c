/** A small real training for the stress tests: a store of four tiles, and the commands that make `tiny` train on it. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Random } from "../../lib/data/random.js";
import { drawField } from "../../lib/data/synthetic.js";
import { openStoreWriter } from "../../lib/engine/storeWriter.js";

const side = 64;
const tiles = 4;

/** What child.mjs reads from CELLSAM_STRESS_TRAIN; `train` goes on for ever at the speed of the engine. */
export interface RealTraining {
  open: { kind: "model"; size: string; overrides: Record<string, number>; threads: number };
  commands: [string, Record<string, unknown>][];
  /** `steps` is how often one of the four tiles is trained. */
  train: { store: string; steps: number; epoch: number; batch_size: number; augment: boolean };
}

export async function realTraining(steps: number): Promise<RealTraining> {
  const store = join(mkdtempSync(join(tmpdir(), "cellsam-stress-")), "tiles.store");
  const writer = await openStoreWriter({ path: store, tileSize: side, normalize: false });
  const random = new Random(1);
  for (let i = 0; i < tiles; i++) {
    const { pixels, labels } = drawField(random, side);
    await writer.add({
      image: { data: pixels, shape: [side, side] },
      labels: { data: labels, shape: [side, side] },
      source: `${i}`,
    });
  }
  await writer.finish();
  await writer.dispose();
  const overrides = {
    image_size: side,
    embed_dim: 32,
    depth: 2,
    prompt_dim: 32,
    detector_dim: 32,
    num_queries: 16,
    decoder_layers: 2,
  };
  return {
    open: { kind: "model", size: "tiny", overrides, threads: 1 },
    commands: [["begin_stage", { stage: 1, epochs: 1, steps_per_epoch: steps }]],
    train: { store, steps, epoch: 1, batch_size: 1, augment: true },
  };
}
