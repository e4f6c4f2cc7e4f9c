/** `cellsam worker`: does the folds and trials that runs with the same queue have put there, until it is stopped. */
import { Command } from "commander";
import { poolSlots } from "../config/pool.js";
import { loadEngine } from "../engine/native.js";
import { serveQueue } from "../queue/serve.js";
import { stoppable } from "./stop.js";

export function workerCommand(): Command {
  return new Command("worker")
    .description("do folds and trials of `train --queue` and `search --queue`, one at a time; start one for each device")
    .requiredOption("--queue <url>", "the queue of those runs: a PostgreSQL database, postgres://user@host/name")
    .action(async (flags: { queue: string }) => {
      poolSlots(flags);
      // A machine that is not set up must not take jobs and fail them.
      loadEngine();
      const tell = (message: string) => process.stderr.write(`${message}\n`);
      await stoppable((signal) => serveQueue(flags.queue, { signal, tell }), null);
    });
}
