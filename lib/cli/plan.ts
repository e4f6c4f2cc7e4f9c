/** `cellsam plan`: checks configuration and data and forecasts a training. */
import { Command } from "commander";
import { planExperiment } from "../entry.js";
import { strictJson } from "../files/json.js";
import type { Plan, SidePlan } from "../plan/plan.js";
import { toSnake } from "../spelling.js";
import { clock, Progress } from "./progress.js";
import { stoppable } from "./stop.js";
import { addConfigFlags, type ConfigFlags, trainConfig } from "./train.js";

type PlanFlags = ConfigFlags & { probe?: boolean; json?: boolean };

export function planCommand(): Command {
  return addConfigFlags(new Command("plan").description("check the data and forecast a training, without training"))
    .option("--probe", "also take a few training steps, to forecast time and memory")
    .option("--json", "print one JSON document on stdout")
    .option("--debug", "print the stack of errors")
    .action(async (flags: PlanFlags) => {
      const config = await trainConfig(flags);
      const progress = new Progress({ epochs: { 1: 0, 2: 0 } });
      const plan = await stoppable((signal) =>
        planExperiment(config, {
          probe: flags.probe ?? false,
          signal,
          onProgress: (task, done, total) => progress.show({ type: "progress", task, done, total }),
        }),
      ).finally(() => progress.finish());
      process.stdout.write(flags.json ? `${strictJson(toSnake(plan))}\n` : `${described(plan)}\n`);
    });
}

/** Notes that are printed; the JSON has all. */
const SHOWN = 12;

const decimal = (value: number) => (Number.isInteger(value) ? String(value) : value.toFixed(1));
const size = (bytes: number) => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(1)} MB`);

function described({ images, cells, tiles, splits, disk, queries, probe, time, warnings }: Plan): string {
  const side = (name: string, { images: n, tiles: cut, cells: found }: SidePlan) =>
    `${name} ${n} images, ${cut} tiles, ${found} cells`;
  const lines = [
    `images  ${images.count}: ${images.grey} grey, ${images.rgb} RGB, ${Object.keys(images.types).join(", ")}; sides ${images.sides.min} to ${images.sides.max} pixels`,
    `cells   ${cells.count}: ${cells.perImage.min} to ${cells.perImage.max} an image, median ${decimal(cells.diameter.median)} pixels across; ${cells.cut} whole in no tile`,
    `tiles   ${tiles.count} of ${tiles.size} pixels: ${tiles.perTile.min} to ${tiles.perTile.max} cells, ${tiles.empty} without; the detector returns ${queries ?? "?"} boxes`,
    ...splits.map(({ train, val, test }, i) =>
      [
        `split ${i + 1}`,
        [side("train", train), side("validate", val), ...(test.images ? [side("test", test)] : [])].join("; "),
      ].join(" "),
    ),
    `disk    ${size(disk.storeBytes)} of tiles${disk.modelBytes === null ? "" : `, ${size(disk.modelBytes)} of models`}${disk.featureBytes ? `, up to ${size(disk.featureBytes)} of features` : ""}; ${disk.freeBytes === null ? "?" : size(disk.freeBytes)} free`,
  ];
  if (probe && time) {
    const stages = Object.entries(time.secondsPerEpoch).map(
      ([stage, seconds]) => `stage ${stage} ${decimal(seconds)} s an epoch`,
    );
    const gpu = probe.gpuMb === null ? "" : `, ${probe.gpuMb.toFixed(0)} MiB of the GPU`;
    lines.push(`memory  ${probe.processMb.toFixed(0)} MiB${gpu}; ${probe.parameters} parameters`);
    lines.push(`time    ${stages.join(", ")}; all epochs ${clock(time.totalSeconds)}, early stopping shortens it`);
  } else lines.push("time and memory: measured with --probe");
  return [
    ...lines,
    ...images.notes.slice(0, SHOWN).map((note) => `note: ${note}`),
    ...(images.notes.length > SHOWN ? [`note: ... and ${images.notes.length - SHOWN} more`] : []),
    ...warnings.map((text) => `warning: ${text}`),
  ].join("\n");
}
