/** Runs a few real training steps on a few tiles in a temporary folder, to measure the time and memory of a training. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExperimentConfig } from "../config/experiment.js";
import { type StageNumber, stageOptions } from "../config/stageOptions.js";
import type { CheckedPair } from "../data/check.js";
import { resolveDevice, resolvePrecision } from "../engine/device.js";
import { openSession, type Precision, type Session } from "../engine/session.js";
import { openStoreWriter } from "../engine/storeWriter.js";
import { gpuMemory } from "../monitor/memory.js";
import { openModel } from "../predict/model.js";
import { busyShare } from "../runtime/systemLoad.js";
import { tileStore } from "../train/tiles.js";

export interface TileTimes {
  /** Time of one tile in a step that was not the first; the shortest of several measurements. */
  secondsPerTile: number;
  secondsPerValidationTile: number;
}

export interface StageProbe extends TileTimes {
  trainable: number;
  /**
   * The same when the features of a frozen backbone are cached; null where no backbone is frozen, or features are not cached.
   */
  kept: TileTimes | null;
}

export interface Probe {
  device: string;
  /** The type of numbers that the network computes with, and the one that suits the device. */
  precision: Precision;
  suitedPrecision: Precision;
  /**
   * Share of the processors that other programs used in the minute before, 1 for all; null where the system does not report it.
   */
  busy: number | null;
  parameters: number;
  queries: number;
  stages: Partial<Record<StageNumber, StageProbe>>;
  /** Peak memory in MiB: of this process, and of the GPU where there is one. */
  processMb: number;
  gpuMb: number | null;
}

export interface ProbeOptions {
  warn: (message: string) => void;
  signal?: AbortSignal | undefined;
}

/** Measured steps after the first, which also sets things up. */
const steps = 3;

/** Short steps are measured repeatedly, so that a moment in which another program was busy does not count. */
const repeatWithinMs = 2000;

export async function probeTraining(
  config: ExperimentConfig,
  pairs: readonly CheckedPair[],
  { warn, signal }: ProbeOptions,
): Promise<Probe> {
  const busy = busyShare();
  const device = await resolveDevice(config.device, warn);
  const folder = await mkdtemp(join(tmpdir(), "cellsam-probe-"));
  let session: Session | undefined;
  try {
    // The images with the most cells need the most memory.
    const few = [...pairs].sort((a, b) => b.cells - a.cells).slice(0, 2);
    const store = await tileStore(few, config, { cacheDir: folder, key: "probe", openStoreWriter, signal });
    const tiles = store.sources.reduce((sum, source) => sum + source.tiles, 0);
    // Tiles repeat where the images give too few for the steps.
    const batch = (batches: number) => Int32Array.from({ length: batches * config.batchSize }, (_, i) => i % tiles);
    ({ session } = await openModel(config, { device, open: openSession, warn }));
    const own = session;
    const parameters = await session.parameters();
    const queries = parameters.find(({ name }) => /^cellfinder\..*transformer\.position\.weight$/.test(name))?.shape[0] ?? 0;
    const count = parameters.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    const precision = resolvePrecision(config.precision, device);
    const numbers = { precision, suitedPrecision: resolvePrecision("auto", device) };
    const probe: Probe = { device, ...numbers, busy, parameters: count, queries, stages: {}, processMb: 0, gpuMb: null };
    for (const stage of config.stages) {
      signal?.throwIfAborted();
      const begin = (settings: object) => own.beginStage(stageOptions({ ...config, ...settings }, stage, steps + 1));
      const { batchSize, augmentation: augment, complexAugmentation, augmentationVariants } = config;
      const how = { store: store.path, batchSize, signal };
      const train = { ...how, augment, complexAugmentation, augmentationVariants };
      const measure = async () => {
        const times = { secondsPerTile: Number.POSITIVE_INFINITY, secondsPerValidationTile: Number.POSITIVE_INFINITY };
        let frozen = false;
        const begun = performance.now();
        do {
          const trained = await own.trainEpoch({ ...train, indices: batch(steps), epoch: 2 });
          const validated = await own.validate({ ...how, indices: batch(1) });
          times.secondsPerTile = Math.min(times.secondsPerTile, perTile(trained));
          times.secondsPerValidationTile = Math.min(times.secondsPerValidationTile, perTile(validated));
          frozen = validated.features.computed > 0;
        } while (performance.now() - begun < repeatWithinMs);
        return { times, frozen };
      };
      const { parameters: trainable } = await begin({ featureCache: false });
      await own.trainEpoch({ ...train, indices: batch(1), epoch: 1 });
      const { times, frozen } = await measure();
      probe.stages[stage] = { trainable, ...times, kept: null };
      if (frozen && config.featureCache) {
        await begin({ outputDir: folder });
        await measure();
        probe.stages[stage].kept = (await measure()).times; // the same epoch has the same augmented tiles
      }
      await session.endStage();
    }
    const processMb = process.resourceUsage().maxRSS / 1024;
    return { ...probe, processMb, gpuMb: gpuMemory(device)?.maxReservedMb ?? null };
  } finally {
    await session?.dispose();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

function perTile({ seconds, images }: { seconds: number; images: number }): number {
  return seconds / Math.max(1, images);
}
