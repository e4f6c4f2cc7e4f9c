/** Where the workers of a pool are: processes of this machine, or behind a launcher, or those that take jobs from a queue. */
import { compiledFile } from "../compiledFile.js";
import type { Slots } from "../config/pool.js";
import { startWorker } from "../pool/worker.js";
import type { Workers } from "../pool/workers.js";
import { programs } from "./messages.js";

/** `tell` gets what the user should know of the queue. @throws CellsamError ERR_QUEUE */
export async function openWorkers({ launcher, queue }: Slots, tell: (message: string) => void): Promise<Workers> {
  if (queue) return (await import("./run.js")).joinQueue(queue, tell);
  return {
    start: ({ name, program = compiledFile(programs[name] as string), onReport }) =>
      startWorker({ name, program, launcher, onReport }),
    close: async () => undefined,
  };
}
