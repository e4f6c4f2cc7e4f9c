/** Keeps what was used last, up to a number of bytes: images, label maps, embeddings. */

export interface Kept<Value> {
  value: Value;
  bytes: number;
}

interface Entry<Value> extends Kept<Value> {
  /** Number of the last use. */
  used: number;
}

/** How values leave the cache: all three are optional. */
export interface Leaving<Value> {
  /** Makes a value ready to go, such as by writing it to a file; it may be used meanwhile, and then stays. */
  prepare?: (value: Value) => Promise<unknown>;
  /** Whether a value that was prepared may go. */
  mayGo?: (value: Value) => boolean;
  dispose?: (value: Value) => Promise<void>;
}

export class Cache<Value> {
  readonly #limit: number;
  readonly #leaving: Leaving<Value>;
  readonly #loading = new Map<string, Promise<Value>>();
  readonly #entries = new Map<string, Entry<Value>>();
  #uses = 0;

  /** The value that was used last is kept, however large it is. */
  constructor(limit: number, leaving: Leaving<Value> = {}) {
    this.#limit = limit;
    this.#leaving = leaving;
  }

  /** The value of `key`; `load` makes it where there is none. Calls at the same time share what is loaded. */
  async get(key: string, load: () => Promise<Kept<Value>>): Promise<Value> {
    const entry = this.#entries.get(key);
    if (entry) {
      entry.used = ++this.#uses;
      return entry.value;
    }
    return this.#loading.get(key) ?? this.#load(key, load);
  }

  #load(key: string, load: () => Promise<Kept<Value>>): Promise<Value> {
    const loading = load()
      .then(({ value, bytes }) => {
        this.#entries.set(key, { value, bytes, used: ++this.#uses });
        void this.#shrink();
        return value;
      })
      .finally(() => this.#loading.delete(key));
    this.#loading.set(key, loading);
    return loading;
  }

  /** The value of `key`, if it is there; that counts as no use. */
  peek(key: string): Value | undefined {
    return this.#entries.get(key)?.value;
  }

  values(): Value[] {
    return [...this.#entries.values()].map(({ value }) => value);
  }

  /** Forgets the values whose keys fit, without asking whether they may go. */
  drop(fits: (key: string) => boolean = () => true): Value[] {
    const gone = [...this.#entries].filter(([key]) => fits(key));
    for (const [key] of gone) this.#entries.delete(key);
    return gone.map(([, { value }]) => value);
  }

  /** A value that cannot be prepared stays: it may be the only copy of somebody's work. */
  async #shrink(): Promise<void> {
    const { prepare, mayGo = () => true, dispose } = this.#leaving;
    const byUse = [...this.#entries].sort(([, a], [, b]) => a.used - b.used).slice(0, -1);
    for (const [key, entry] of byUse) {
      if (this.#bytes() <= this.#limit) return;
      const { used } = entry;
      const prepared = await Promise.resolve(prepare?.(entry.value)).then(
        () => true,
        () => false,
      );
      if (!prepared || entry.used !== used || this.#entries.get(key) !== entry || !mayGo(entry.value)) continue;
      this.#entries.delete(key);
      await dispose?.(entry.value).catch(() => undefined);
    }
  }

  #bytes(): number {
    return [...this.#entries.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }
}
