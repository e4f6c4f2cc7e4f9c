/** Calls of a server that may be away for a while, as when it is restarted. */
import { setTimeout as sleep } from "node:timers/promises";

const firstPauseMs = 250;
const longestPauseMs = 10_000;

/** Makes a call, again and again while the server is away; once `until` has fired, only once. @throws what else the call throws */
export type Patiently = <Value>(call: () => Promise<Value>, until?: AbortSignal) => Promise<Value>;

/** `tell` gets a sentence when the server stops answering, and when it answers again. */
export function patience(tell: (message: string) => void): Patiently {
  let away = false;
  return async (call, until) => {
    for (let pause = firstPauseMs; ; pause = Math.min(2 * pause, longestPauseMs)) {
      try {
        const value = await call();
        if (away) tell("the queue answers again");
        away = false;
        return value;
      } catch (error) {
        if (!isOutage(error) || until?.aborted) throw error;
        if (!away) tell(`the queue does not answer (${(error as Error).message}); trying again until it does`);
        away = true;
        await sleep(pause, undefined, until ? { signal: until } : {}).catch(() => undefined);
      }
    }
  };
}

/** Classes of PostgreSQL's codes that pass: connection, resources, a server that stops or starts, another that took over. */
const passing = /^(E[A-Z]+|08\w{3}|53\w{3}|57P\d\d|25006|40\w{3})$/;

/** Whether another try may succeed, since the server or the way to it and not the call is the cause. */
export function isOutage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code } = error as NodeJS.ErrnoException;
  if (typeof code === "string") return passing.test(code);
  return code === undefined && /connection|timeout/i.test(error.message);
}
