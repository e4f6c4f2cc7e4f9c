/** The model that the next fold starts from. It is the one owner of a run's sessions: each is opened and disposed of here. */
import type { Session } from "../engine/session.js";

export class FoldModel {
  readonly #open: () => Promise<Session>;
  #session: Session | undefined;

  constructor(open: () => Promise<Session>) {
    this.#open = open;
  }

  /** Opens a fresh model, unless one is there already. */
  async ready(): Promise<Session> {
    this.#session ??= await this.#open();
    return this.#session;
  }

  /** Lends the model to `work` and disposes of it afterwards: what comes next starts from a fresh one. */
  async use<Result>(work: (session: Session) => Promise<Result>): Promise<Result> {
    try {
      return await work(await this.ready());
    } finally {
      await this.dispose();
    }
  }

  async dispose(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.dispose();
  }
}
