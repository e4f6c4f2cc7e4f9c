/** Works on several items at a time and hands the results out in the order of the items. */
import { setMaxListeners } from "node:events";

export interface InOrderOptions<In, Out> {
  /** How many items are in work, or done and not handed out yet. */
  atOnce: number;
  /** Its signal fires when the result is no longer asked for. A rejection ends the iteration when its turn comes. */
  work: (item: In, index: number, signal: AbortSignal) => Promise<Out>;
  /** Why that signal fires: the reason that `work` sees. */
  left: () => Error;
  signal?: AbortSignal | undefined;
}

/** Items are taken as they are needed. Ends when all work that was begun has ended, also when the loop is left early. */
export async function* inOrder<In, Out>(
  items: Iterable<In> | AsyncIterable<In>,
  { atOnce, work, left, signal }: InOrderOptions<In, Out>,
): AsyncGenerator<Out, void, undefined> {
  const end = new AbortController();
  const stop = signal ? AbortSignal.any([signal, end.signal]) : end.signal;
  setMaxListeners(0, stop); // each item in work listens to it
  const waiting: Promise<Out>[] = [];
  let index = 0;
  try {
    for await (const item of items) {
      const begun = work(item, index++, stop);
      begun.catch(() => undefined); // it is awaited later
      waiting.push(begun);
      while (waiting.length >= atOnce) yield await (waiting.shift() as Promise<Out>);
    }
    while (waiting.length > 0) yield await (waiting.shift() as Promise<Out>);
  } finally {
    end.abort(left());
    await Promise.allSettled(waiting);
  }
}
