/** Commands of the engine that need no session, with camelCase names in arguments and results. */
import { fromBorder, toBorder } from "./names.js";
import { engineCall, engineCallAsync } from "./native.js";

/** Runs a command on the calling thread: for short work only. */
export function engineCommand<T>(name: string, args: object = {}): T {
  return fromBorder(engineCall(name, toBorder(args))) as T;
}

/** Runs a command on a thread of its own. */
export async function engineCommandAsync<T>(name: string, args: object = {}): Promise<T> {
  return fromBorder(await engineCallAsync(name, toBorder(args))) as T;
}
