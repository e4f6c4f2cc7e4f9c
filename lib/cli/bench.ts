/** `cellsam bench`: measures this machine, prints a table, and writes a JSON file that can be sent. */
import { Command, Option } from "commander";
import type { BenchOptions } from "../bench/bench.js";
import { writeAtomic } from "../files/writeAtomic.js";
import { given, integerFlag, numberFlag } from "./flags.js";
import { stoppable } from "./stop.js";

type BenchFlags = Omit<BenchOptions, "onProgress" | "warn" | "signal"> & { out?: string; json?: boolean };

export function benchCommand(): Command {
  return new Command("bench")
    .description("measure this machine: encoder, steps of both stages, prediction, in images/s and share of peak")
    .option("--size <size>", "vit_b, vit_l, vit_h or tiny (default: vit_b)")
    .option("--device <device>", "auto, cpu, cuda or cuda:N (default: auto)")
    .addOption(new Option("--precision <precision>", "type of numbers (default: auto)").choices(["auto", "fp32", "bf16"]))
    .option("--threads <n>", "compute threads, 0 for all cores (default: 0)", integerFlag)
    .option("--batch-size <n>", "images in a step (default: 1)", integerFlag)
    .option(
      "--weights <file>",
      "as for train; they matter for predictions (default: random ones; for tiny, those of the package)",
    )
    .option("--seconds <s>", "time for each of the six measurements (default: 5)", numberFlag)
    .option("--out <file>", "also write the result as JSON, which names neither user, computer nor folders")
    .option("--json", "print that JSON on stdout in place of the table")
    .option("--debug", "print the stack of errors")
    .action(async ({ out, json, ...flags }: BenchFlags & { debug?: boolean }) => {
      const { bench } = await import("../bench/bench.js");
      const { benchJson, benchTable } = await import("../bench/result.js");
      const { debug: _debug, ...options } = given(flags);
      const measure = (signal: AbortSignal) =>
        bench({
          ...options,
          signal,
          onProgress: (what) => process.stderr.write(`measuring ${what}\n`),
          warn: (message) => process.stderr.write(`warning: ${message}\n`),
        });
      const result = await stoppable(measure, null);
      if (out) await writeAtomic(out, benchJson(result));
      process.stdout.write(json ? benchJson(result) : `${benchTable(result)}\n`);
    });
}
