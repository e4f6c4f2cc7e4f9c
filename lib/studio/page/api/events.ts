/** The server's events, over a connection that is opened again when it ends. */
import type { EventData, EventName } from "../../api.js";

const names = ["labels", "image", "next", "job", "run", "step", "model", "memory"] as const satisfies EventName[];

export interface Listener {
  /** The connection is there; after an end of it, once more. */
  opened(): void;
  lost(): void;
  event<Name extends EventName>(name: Name, data: EventData<Name>): void;
}

/** Milliseconds until the next attempt. A browser's own attempts would wait longer, and end after some answers. */
const AGAIN = 1000;

export function listen(listener: Listener): void {
  const source = new EventSource("api/events");
  source.onopen = () => listener.opened();
  source.onerror = () => {
    source.close();
    listener.lost();
    setTimeout(() => listen(listener), AGAIN);
  };
  for (const name of names) {
    source.addEventListener(name, ({ data }) => listener.event(name, JSON.parse(data)));
  }
}
