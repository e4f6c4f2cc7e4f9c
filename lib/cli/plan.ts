/** `cellsam plan`: checks configuration and data and forecasts a training. */
import { Command } from "commander";
import { inFileSpelling } from "../config/fileSpelling.js";
import { planExperiment } from "../entry.js";
import { strictJson } from "../files/json.js";
import type { Plan, Spread } from "../plan/plan.js";
import { toSnake } from "../spelling.js";
import { given, integerFlag, numberFlag } from "./flags.js";
import { clock, Progress } from "./progress.js";
import { stoppable } from "./stop.js";
import { addConfigFlags, type ConfigFlags, trainConfig } from "./train.js";

type PlanFlags = ConfigFlags & { probe?: boolean; ranks?: number; bandwidth?: number; json?: boolean };

export function planCommand(): Command {
  return addConfigFlags(new Command("plan").description("check the data and forecast a training, without training"))
    .option("--probe", "also take a few training steps, to forecast time and memory")
    .option("--ranks <n>", "with --probe: also forecast a training by n processes together", integerFlag)
    .option("--bandwidth <GB/s>", "between them, in 10^9 bytes a second (1.1, which is 10 Gbit Ethernet)", numberFlag)
    .option("--json", "print one JSON document on stdout")
    .option("--debug", "print the stack of errors")
    .action(async (flags: PlanFlags, command: Command) => {
      const config = await trainConfig(flags);
      const progress = new Progress({ epochs: { 1: 0, 2: 0 } });
      const plan = await stoppable((signal) =>
        planExperiment(config, {
          probe: flags.probe ?? false,
          ...given({ ranks: flags.ranks, gigabytesPerSecond: flags.bandwidth }),
          signal,
          onProgress: (task, done, total) => progress.show({ type: "progress", task, done, total }),
        }),
      ).finally(() => progress.finish());
      process.stdout.write(
        flags.json ? `${strictJson(toSnake(plan))}\n` : `${described(plan)}\n${next(command.parent, flags.ranks)}`,
      );
    });
}

/** The training that the same words start; nothing where the command is not called from the command line. */
function next(program: Command | null, ranks = 1): string {
  const own = (word = "") => /^--(ranks|bandwidth)$/.test(word);
  const words = (program?.args ?? [])
    .slice(1)
    .filter((word, i, all) => !/^--(probe|debug|ranks|bandwidth)(=|$)/.test(word) && !own(all[i - 1]));
  const quoted = words.map((word) => (/^[\w./\\:=,-]+$/.test(word) ? word : JSON.stringify(word)));
  const train = ranks > 1 ? `node_modules/.bin/cellsam launch -n ${ranks} train` : "npx cellsam train";
  return quoted.length === 0 ? "" : `next: ${train} ${quoted.join(" ")}\n`;
}

/** Notes that are printed; the JSON has all. */
const SHOWN = 12;

const decimal = (value: number) => (Number.isInteger(value) ? String(value) : value.toFixed(1));
const size = (bytes: number) => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(1)} MB`);

/** Sentences for readers who do not know the network, in lines of at most 80 columns but for notes and warnings. */
export function described({ images, cells, tiles, splits, disk, queries, probe, time, together, warnings }: Plan): string {
  const kinds = [...(images.grey ? [`${images.grey} grey`] : []), ...(images.rgb ? [`${images.rgb} colour`] : [])].join(", ");
  const lines = [
    `images   ${images.count} (${kinds}; ${Object.keys(images.types).join(", ")}), ${between(images.sides)} pixels a side`,
    `cells    ${cells.count}, ${between(cells.perImage)} in an image; typically ${decimal(cells.diameter.median)} pixels across`,
    `tiles    ${tiles.count} squares of ${tiles.size} pixels, cut from the images for training`,
    `         ${between(tiles.perTile)} cells in a tile; ${tiles.empty} tiles hold no cell`,
    ...(queries === null ? [] : [`         at most ${queries} cells can be found in a tile`]),
    ...(cells.cut > 0 ? [`         ${cells.cut} cells are seen only in parts, since every tile cuts them`] : []),
    ...splits.flatMap((split, i) => sides(split, splits.length > 1 ? `fold ${i + 1}` : "split")),
    ...space(disk),
  ];
  if (probe && time) {
    const stages = Object.entries(time.secondsPerEpoch).map(([stage, seconds]) => `stage ${stage} ${decimal(seconds)} s`);
    const gpu = probe.gpuMb === null ? "" : `, and ${probe.gpuMb.toFixed(0)} MB of the GPU`;
    lines.push(`device   ${probe.device}, with numbers of type ${probe.precision}`);
    lines.push(`memory   ${probe.processMb.toFixed(0)} MB${gpu}`);
    lines.push(`time     at most ${clock(time.totalSeconds)} (h:mm:ss); a stage that gets no better ends early`);
    lines.push(`         an epoch: ${stages.join(", ")}`);
    if (together) lines.push(...withOthers(together));
  } else lines.push("time     not known; --probe takes a few steps to forecast time and memory");
  return [
    ...lines,
    ...images.notes.slice(0, SHOWN).map((note) => `note: ${note}`),
    ...(images.notes.length > SHOWN ? [`note: ... and ${images.notes.length - SHOWN} more`] : []),
    ...warnings.map((text) => `warning: ${inFileSpelling(text)}`),
  ].join("\n");
}

/** An epoch of several processes. */
function withOthers({ ranks, gigabytesPerSecond, stages }: NonNullable<Plan["together"]>): string[] {
  const lines = Object.entries(stages).map(([stage, { secondsPerEpoch, speedUp, balance, gradientBytes, sumSeconds }]) => {
    const work = `${(100 * balance).toFixed(0)} % of the time at work`;
    const sums = `${size(gradientBytes)} of gradients in ${(1000 * sumSeconds).toFixed(1)} ms`;
    return `         stage ${stage}: an epoch in ${decimal(secondsPerEpoch)} s, ${speedUp.toFixed(2)} times as fast; ${work}; ${sums}`;
  });
  return [`with     ${ranks} processes, as fast as this one, and ${gigabytesPerSecond} GB/s between them`, ...lines];
}

/** "3 to 7", or "3" for 3 to 3. */
function between({ min, max }: Spread): string {
  return min === max ? decimal(min) : `${decimal(min)} to ${decimal(max)}`;
}

/** What trains, validates and tests, one line each. */
function sides({ train, val, test }: Plan["splits"][number], name: string): string[] {
  const named = { "trains on": train, "validates on": val, "tests on": test };
  const lines = Object.entries(named).flatMap(([what, { images, tiles, cells }]) =>
    images === 0 ? [] : [`${what} ${images} images (${cells} cells, ${tiles} tiles)`],
  );
  return lines.map((line, i) => `${(i === 0 ? name : "").padEnd(8)} ${line}`);
}

function space({ storeBytes, modelBytes, featureBytes, freeBytes }: Plan["disk"]): string[] {
  const parts = [`${size(storeBytes)} for tiles`, ...(modelBytes === null ? [] : [`${size(modelBytes)} for models`])];
  const features = featureBytes ? [`         up to ${size(featureBytes)} for intermediate results that are used again`] : [];
  return [`disk     ${parts.join(", ")}`, ...features, ...(freeBytes === null ? [] : [`         ${size(freeBytes)} are free`])];
}
