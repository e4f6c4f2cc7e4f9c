/** The other processes: they run what process 0 tells them, until it ends. */
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { engineInfo } from "../engine/device.js";
import { type Device, type DistributedSession, openDistributed } from "../engine/session.js";
import { CellsamError, failureOf } from "../errors.js";
import type { NoticeEvent } from "../events.js";
import { fileHash } from "../files/fileHash.js";
import { type Group, peerFailure } from "./group.js";
import { type Order, type SharedCommand, toTiles } from "./orders.js";
import { validateTogether } from "./validate.js";

/** How long a file may take to appear that another machine has written; file systems of networks show it late. */
const lateMs = 30_000;

export interface FollowOptions {
  /** Aborting stops the training of all processes after the update. */
  signal: AbortSignal | undefined;
  /** Of what the engine does differently than asked. */
  onNotice: (event: NoticeEvent) => void;
  /** Does this process's share of a work that all divide, and returns its answer, also where it has failed. */
  share: (session: DistributedSession, work: unknown, group: Group) => Promise<string>;
}

/**
 * Follows process 0 from after the greeting to its end, and returns its result.
 * @throws CellsamError why process 0 has failed, or was stopped; ERR_PEER_LOST
 */
export async function follow(group: Group, options: FollowOptions): Promise<unknown> {
  const sessions = new Map<number, DistributedSession>();
  try {
    for (;;) {
      const order = await group.receive();
      if (order.type === "end") return await farewell(group, order);
      await carryOut(order, sessions, group, options);
    }
  } finally {
    await Promise.all([...sessions.values()].map((session) => session.dispose()));
  }
}

async function farewell(group: Group, { failure, result }: Order & { type: "end" }): Promise<unknown> {
  await group.agree();
  if (failure) throw new CellsamError(failure.code, failure.message);
  return result;
}

async function carryOut(
  order: Order,
  sessions: Map<number, DistributedSession>,
  group: Group,
  options: FollowOptions,
): Promise<void> {
  if (order.type === "open") {
    const opening = openDistributed({ ...order.options, device: ownDevice(order.options.device ?? "cpu", group.localRank) });
    await agreeOn(group, async () => void sessions.set(order.session, await opening));
  } else if (order.type === "close") {
    await sessions.get(order.session)?.dispose();
    sessions.delete(order.session);
  } else if (order.type === "share") {
    await group.gather(await options.share(known(sessions, order.session), order.work, group));
  } else if (order.type === "command") {
    const session = known(sessions, order.session);
    try {
      await prepare(order.call);
    } catch (error) {
      // In place of the command, which begins with an agreement in process 0.
      await agreeOn(group, () => Promise.reject(error));
      return;
    }
    // What else fails here fails in process 0 too, which decides what comes next.
    await run(session, order.call, options).catch((error: unknown) => {
      if (peerFailure(error)) throw error;
    });
  }
}

function known(sessions: Map<number, DistributedSession>, number: number): DistributedSession {
  const session = sessions.get(number);
  if (!session) throw new CellsamError("ERR_INTERNAL", `process 0 uses a session ${number} that it has not opened`);
  return session;
}

/** Does `work` and tells the others whether it failed; process 0 decides what comes next. */
async function agreeOn(group: Group, work: () => Promise<void>): Promise<void> {
  const failure = await work().then(() => null, failureOf);
  await group.agree(failure).catch((error: unknown) => {
    if (peerFailure(error)) throw error;
  });
}

/** The processes of a machine divide its GPUs; where each sees one alone, as under Slurm, it takes that. */
function ownDevice(device: Device, localRank: number): Device {
  if (device === "cpu") return device;
  const gpus = engineInfo().devices.filter(({ kind }) => kind === "cuda").length;
  return gpus > 1 ? `cuda:${localRank % gpus}` : "cuda";
}

/** Waits for the files that a command reads. @throws CellsamError ERR_STATE_MISMATCH for another file than that of process 0 */
async function prepare(call: SharedCommand): Promise<void> {
  if (call.command === "trainEpoch" || call.command === "validate") await appears(call.options.store);
  if (call.command !== "loadState") return;
  await appears(call.path);
  if ((await fileHash(call.path)) === call.sha256) return;
  const message = `${call.path} is another file here than for process 0: the output folder has to be on a shared file system`;
  throw new CellsamError("ERR_STATE_MISMATCH", message, { detail: { path: call.path } });
}

async function appears(path: string): Promise<void> {
  const end = Date.now() + lateMs;
  while (!existsSync(path)) {
    if (Date.now() > end) {
      const message = `${path} is not there: the output folder has to be on a file system that all processes share`;
      throw new CellsamError("ERR_FILE", message, { detail: { path } });
    }
    await sleep(200);
  }
}

async function run(session: DistributedSession, call: SharedCommand, { signal, onNotice }: FollowOptions): Promise<unknown> {
  switch (call.command) {
    case "beginStage":
      return session.beginStage(call.options);
    case "setLossWeights":
      return session.setLossWeights(call.weights);
    case "trainEpoch":
      return session.trainEpoch({ ...call.options, indices: toTiles(call.options.indices), signal, onNotice });
    case "validate":
      return validateTogether(session, { ...call.options, indices: toTiles(call.options.indices), signal, onNotice });
    case "observe":
      return session.observe(call.loss);
    case "loadState":
      return session.loadState(call.path);
    case "transferWeights":
      return session.transferWeights(call.to);
    case "endStage":
      return session.endStage();
    case "shareWeights":
      return session.shareWeights();
  }
}
