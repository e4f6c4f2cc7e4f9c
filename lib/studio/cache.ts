/** Keeps what was used last, up to a number of bytes: images, label maps, embeddings. */

export interface Kept<Value> {
  value: Value;
  bytes: number;
}

interface Entry<Value> extends Kept<Value> {
  /** Counts the uses of the cache. */
  used: number;
}

export class Cache<Value> {
  readonly #limit: number;
  readonly #evict: (value: Value) => Promise<boolean>;
  readonly #loading = new Map<string, Promise<Value>>();
  readonly #entries = new Map<string, Entry<Value>>();
  #uses = 0;

  /**
   * The value that was used last is kept, however large it is. `evict` gets each value that is to go, and returns whether it may.
   */
  constructor(limit: number, evict: (value: Value) => Promise<boolean> = async () => true) {
    this.#limit = limit;
    this.#evict = evict;
  }

  /** The value of `key`; `load` makes it where there is none. Calls at the same time share what is loaded. */
  async get(key: string, load: () => Promise<Kept<Value>>): Promise<Value> {
    const entry = this.#entries.get(key);
    if (entry) {
      entry.used = ++this.#uses;
      return entry.value;
    }
    const loading = this.#loading.get(key) ?? this.#load(key, load);
    return loading;
  }

  #load(key: string, load: () => Promise<Kept<Value>>): Promise<Value> {
    const loading = load()
      .then(async ({ value, bytes }) => {
        this.#entries.set(key, { value, bytes, used: ++this.#uses });
        await this.#shrink();
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

  /** Takes values out whose key fits, without asking whether they may go. */
  drop(fits: (key: string) => boolean): Value[] {
    const gone = [...this.#entries].filter(([key]) => fits(key));
    for (const [key] of gone) this.#entries.delete(key);
    return gone.map(([, { value }]) => value);
  }

  async #shrink(): Promise<void> {
    const byUse = [...this.#entries].sort(([, a], [, b]) => a.used - b.used);
    byUse.pop();
    let total = [...this.#entries.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    for (const [key, entry] of byUse) {
      if (total <= this.#limit) return;
      const { used } = entry;
      // It may be asked for again while it is being put away.
      if (!(await this.#evict(entry.value)) || entry.used !== used) continue;
      this.#entries.delete(key);
      total -= entry.bytes;
    }
  }
}
