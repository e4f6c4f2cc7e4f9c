/** Processes that train a small model together, and one that does the same alone, as distributed-child.mjs does it. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { freePorts } from "../../lib/distributed/freePorts.js";
import { type Device, openSession, type SessionOptions } from "../../lib/engine/session.js";

const child = fileURLToPath(new URL("distributed-child.mjs", import.meta.url));

const sgd = { optimizer: "sgd", learningRate: 0.05, weightDecay: 0, gradClip: 1, scheduler: "none", accumulate: 4 } as const;
export const stage1 = { stage: 1, epochs: 2, stepsPerEpoch: 7, ...sgd } as const;
export const stage2 = { stage: 2, epochs: 2, stepsPerEpoch: 7, ...sgd } as const;

/** What a process does; the child says what else there is. */
export interface Task extends Record<string, unknown> {
  store: string;
  session: SessionOptions;
  indices: readonly number[];
  /** Which process is ended, how, and in what. */
  end?: { rank: number; signal: NodeJS.Signals; during?: "step" | "validation" | "save" };
  /** Of each process, in place of that of `session`. */
  devices?: readonly Device[];
  /** The file by which they meet, in place of a port. */
  file?: string;
}

export interface Outcome {
  rank: number;
  steps: number;
  epochs: {
    step: number;
    stopped: boolean;
    images: number;
    losses: Record<string, number>;
    validation: Record<string, number> | null;
  }[];
  notices: string[];
  digest?: Record<string, string>;
  error?: { code: string; message: string };
}

/** Runs `size` processes; those that are killed, or hang, have no outcome. */
export async function together(size: number, { file = "", ...task }: Task): Promise<(Outcome | null)[]> {
  const [port] = file ? [0] : await freePorts(1);
  const children = Array.from({ length: size }, (_, rank) => {
    const own = { place: { rank, size, port, file }, batchSize: 1, ...task };
    let done: (outcome: Outcome | null) => void;
    const outcome = new Promise<Outcome | null>((resolve) => {
      done = resolve;
    });
    const process_ = execFile(process.execPath, [child, JSON.stringify(own)], (error, stdout) =>
      done(error ? null : (JSON.parse(stdout) as Outcome)),
    );
    return { process_, outcome };
  });
  const hanging = task.end?.signal === "SIGSTOP" ? task.end.rank : -1;
  const outcomes = await Promise.all(children.map(({ outcome }, rank) => (rank === hanging ? null : outcome)));
  children[hanging]?.process_.kill("SIGKILL");
  return outcomes;
}

/** The training of both stages in this process alone, which leaves its weights in the file `save`. */
export async function alone({ store, session, indices }: Task, save: string): Promise<Outcome["epochs"]> {
  await using own = await openSession(session);
  const epochs: Outcome["epochs"] = [];
  for (const stage of [stage1, stage2]) {
    await own.beginStage(stage);
    for (let epoch = 1; epoch <= stage.epochs; epoch += 1) {
      const tiles = { store, indices: Int32Array.from(indices), batchSize: 1 };
      const { step, stopped, losses, images } = await own.trainEpoch({ ...tiles, epoch, augment: true });
      const validation = (await own.validate(tiles)).losses;
      epochs.push({ step, stopped, images, losses, validation } as Outcome["epochs"][number]);
    }
  }
  await own.save(save, { format: "safetensors" });
  return epochs;
}
