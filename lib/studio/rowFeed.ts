/**
 * Tells pages of rows of the list that have changed, and has new scores measured: a moment after the change, for all at once.
 */
import type { Events } from "./events.js";
import type { StudioImage } from "./imageList.js";
import type { Rows } from "./rows.js";

const quietMs = 200;

export class RowFeed {
  readonly #rows: Rows;
  readonly #events: Events;
  readonly #changed = new Set<StudioImage>();
  /** What was told last of each image: one change may give others another rank. */
  readonly #told = new Map<number, string>();
  #timer: NodeJS.Timeout | undefined;
  #working: Promise<void> = Promise.resolve();

  constructor(rows: Rows, events: Events) {
    this.#rows = rows;
    this.#events = events;
  }

  changed(image: StudioImage): void {
    this.#changed.add(image);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#working = this.#working.then(() => this.#tell()).catch(() => undefined);
    }, quietMs).unref();
  }

  async #tell(): Promise<void> {
    const images = [...this.#changed];
    this.#changed.clear();
    await this.#emit();
    for (const image of images) {
      // Without an engine nothing can be measured; the rest works.
      if (await this.#rows.measure(image).catch(() => false)) await this.#emit();
    }
  }

  async #emit(): Promise<void> {
    for (const row of await this.#rows.all()) {
      const text = JSON.stringify(row);
      if (this.#told.get(row.id) === text) continue;
      this.#told.set(row.id, text);
      this.#events.emit("image", row);
    }
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#working;
  }
}
