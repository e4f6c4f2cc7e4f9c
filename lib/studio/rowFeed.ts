/**
 * Tells pages of rows of the list that have changed, and has new scores measured: a moment after the change, for all at once.
 * What one change costs does not depend on the number of images, but for the ranks, which are told as one list.
 */
import type { Events } from "./events.js";
import type { StudioImage } from "./imageList.js";
import type { Rows } from "./rows.js";

const quietMs = 200;

export class RowFeed {
  readonly #rows: Rows;
  readonly #events: Events;
  readonly #changed = new Set<StudioImage>();
  /** What was told last of each image, and of the ranks. */
  readonly #told = new Map<number, string>();
  #toldRanks = "";
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
    for (const image of images) await this.#rows.look(image);
    this.#rank();
    for (const image of images) this.#emit(image);
    for (const image of images) {
      // Without an engine nothing can be measured; the rest works.
      if (!(await this.#rows.measure(image).catch(() => false))) continue;
      await this.#rows.look(image);
      this.#emit(image);
    }
    this.#rank();
  }

  #rank(): void {
    const ranked = { images: this.#rows.rank() };
    const text = JSON.stringify(ranked);
    if (this.#toldRanks === text) return;
    this.#toldRanks = text;
    this.#events.emit("next", ranked);
  }

  /** Tells the row of an image but for its rank, where it is another one than the last time. */
  #emit(image: StudioImage): void {
    const row = this.#rows.known(image);
    const text = JSON.stringify({ ...row, next: null });
    if (this.#told.get(row.id) === text) return;
    this.#told.set(row.id, text);
    this.#events.emit("image", row);
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#working;
  }
}
