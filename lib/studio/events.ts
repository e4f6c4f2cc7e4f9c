/** What happens, told to every page that listens: Server-Sent Events. */
import type { ServerResponse } from "node:http";
import { strictJson } from "../files/json.js";
import type { EventData, EventName } from "./api.js";

/** A comment that keeps proxies and tunnels from closing a silent connection. */
const beatMs = 15_000;
/** A listener that has not read so many bytes is cut off; its browser connects again and loads the state anew. */
const mostUnread = 1 << 23;

export class Events {
  readonly #listeners = new Set<ServerResponse>();
  readonly #beat = setInterval(() => this.#write(": still here\n\n"), beatMs).unref();

  get listeners(): number {
    return this.#listeners.size;
  }

  /** Makes the answer a stream of events until its connection ends. */
  listen(answer: ServerResponse): void {
    answer.write("retry: 1000\n\n");
    this.#listeners.add(answer);
    answer.on("close", () => this.#listeners.delete(answer));
  }

  emit<Name extends EventName>(name: Name, data: EventData<Name>): void {
    this.#write(`event: ${name}\ndata: ${strictJson(data, 0)}\n\n`);
  }

  #write(text: string): void {
    for (const answer of this.#listeners) {
      if (answer.writableLength > mostUnread) answer.destroy();
      else answer.write(text);
    }
  }

  close(): void {
    clearInterval(this.#beat);
    for (const answer of this.#listeners) answer.end();
  }
}
