/** Works through a queue, several items at a time, each on the device of its slot. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Slots } from "../config/pool.js";

export interface Round<Item> {
  /** What is to be done, first things first. Items leave it as they begin. */
  queue: Item[];
  slots: Slots;
  /** The device on which an item was begun earlier, where it must continue. */
  begunOn: (item: Item) => string | undefined;
  /** `device` is undefined where the configuration decides. */
  work: (item: Item, device: string | undefined) => Promise<void>;
  /** Asks all work that runs to end early. */
  stop: () => void;
  /** All slots but the first wait for it. */
  ready?: Promise<void>;
  signal: AbortSignal | undefined;
}

/**
 * Resolves when all work has ended: of the whole queue, or of what ran when the signal fired, which the caller looks at.
 * @throws the first error of `work`, after all other work was stopped and has ended
 */
export async function inSlots<Item>({ queue, slots, begunOn, work, stop, ready, signal }: Round<Item>): Promise<void> {
  const { devices } = slots;
  let failed: { error: unknown } | undefined;
  const slot = async (number: number) => {
    if (number > 0) await ready;
    const own = devices[number % devices.length];
    while (queue.length > 0 && !failed && !signal?.aborted) {
      const at = queue.findIndex((item) => (begunOn(item) ?? own) === own);
      const [item] = queue.splice(Math.max(0, at), 1) as [Item];
      await work(item, begunOn(item) ?? own);
    }
  };
  signal?.addEventListener("abort", stop, { once: true });
  try {
    const count = Math.min(slots.maxParallel, queue.length);
    const running = Array.from({ length: count }, (_, number) =>
      slot(number).catch((error: unknown) => {
        failed ??= { error };
        stop();
      }),
    );
    await Promise.all(running);
    if (failed) throw (failed as { error: unknown }).error;
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

/**
 * Whether a worker that was stopped, and not by its pool, was stopped together with it: a signal to all processes of a group, as
 * batch systems send, may reach the worker first.
 */
export async function stoppedTogether(signal: AbortSignal | undefined): Promise<boolean> {
  if (signal && !signal.aborted) await sleep(2000, undefined, { signal }).catch(() => undefined);
  return signal?.aborted ?? false;
}
