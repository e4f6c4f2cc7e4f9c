/** Tiles that were loaded, up to a number of them, and the loading of those that the view wants. */
export interface Wanted<Tile> {
  key: string;
  load: (signal: AbortSignal) => Promise<Tile>;
}

interface Entry<Tile> {
  tile: Tile;
  /** What it shows has changed since: it is drawn until its successor is there. */
  stale: boolean;
}

/** Milliseconds until a tile that could not be loaded is asked for again. */
const AGAIN = 1500;

export class TileCache<Tile> {
  /** The most recently wanted last. */
  readonly #tiles = new Map<string, Entry<Tile>>();
  readonly #loading = new Map<string, AbortController>();
  readonly #failed = new Set<string>();
  #wanted: Wanted<Tile>[] = [];

  /**
   * @param parallel requests at once; a browser opens six connections to a server, one of which has the events
   * @param onChange a tile has come
   */
  constructor(
    readonly parallel: number,
    readonly onChange: () => void,
  ) {}

  get(key: string): Tile | undefined {
    return this.#tiles.get(key)?.tile;
  }

  isFresh(key: string): boolean {
    return this.#tiles.get(key)?.stale === false;
  }

  /**
   * Loads these, the first ones first, and gives up what is on its way and not among them. Three times as many tiles stay in
   * memory, and `least` at least.
   */
  want(tiles: readonly Wanted<Tile>[], least: number): void {
    const keys = new Set(tiles.map(({ key }) => key));
    for (const [key, controller] of this.#loading) if (!keys.has(key)) controller.abort();
    for (const { key } of tiles.toReversed()) {
      const entry = this.#tiles.get(key);
      if (entry && this.#tiles.delete(key)) this.#tiles.set(key, entry);
    }
    this.#wanted = tiles.filter(({ key }) => !this.isFresh(key));
    this.#forget(Math.max(least, 3 * tiles.length));
    this.#start();
  }

  /** Marks tiles as no longer true; one that is on its way is asked for anew. */
  invalidate(isStale: (key: string) => boolean): void {
    for (const [key, entry] of this.#tiles) if (isStale(key)) entry.stale = true;
    for (const [key, controller] of this.#loading) if (isStale(key)) controller.abort();
    this.onChange();
  }

  clear(): void {
    for (const controller of this.#loading.values()) controller.abort();
    this.#tiles.clear();
    this.#wanted = [];
  }

  #start(): void {
    for (const { key, load } of this.#wanted) {
      if (this.#loading.size >= this.parallel) return;
      if (!this.#loading.has(key) && !this.#failed.has(key) && !this.isFresh(key)) void this.#load(key, load);
    }
  }

  async #load(key: string, load: Wanted<Tile>["load"]): Promise<void> {
    const controller = new AbortController();
    this.#loading.set(key, controller);
    try {
      const tile = await load(controller.signal);
      if (!controller.signal.aborted) this.#tiles.set(key, { tile, stale: false });
    } catch {
      if (!controller.signal.aborted) this.#waitFor(key);
    }
    this.#loading.delete(key);
    this.onChange();
  }

  #waitFor(key: string): void {
    this.#failed.add(key);
    setTimeout(() => {
      this.#failed.delete(key);
      this.onChange();
    }, AGAIN);
  }

  #forget(capacity: number): void {
    for (const key of this.#tiles.keys()) {
      if (this.#tiles.size <= capacity) return;
      this.#tiles.delete(key);
    }
  }
}
