/**
 * Process 0's sessions: what trains is done by all processes, what predicts or writes by process 0 alone. Callers use
 * them as any session.
 */
import { resolve } from "node:path";
import {
  type BoxPrediction,
  type Candidates,
  type CandidatesOptions,
  type DistributedSession,
  type EmbedOptions,
  type EpochReport,
  type LoadReport,
  type LossWeights,
  openDistributed,
  type openSession,
  type Prediction,
  type PredictOptions,
  type PromptIou,
  type PromptIouOptions,
  type Session,
  type SessionView,
  type StageOptions,
  type StageReport,
  type StateReport,
  type TrainEpochOptions,
  type ValidateOptions,
  type ValidateReport,
} from "../engine/session.js";
import { CellsamError, failureOf } from "../errors.js";
import { fileHash } from "../files/fileHash.js";
import type { Group } from "./group.js";
import { type SharedCommand, toText } from "./orders.js";
import { validateTogether } from "./validate.js";

/**
 * Opens sessions that the others follow. `stop` is called when another process was told to stop; it has to abort the signal that
 * the commands of the sessions get.
 */
export function leaderSessions(group: Group, stop: () => void): typeof openSession {
  let opened = 0;
  return async (options) => {
    const session = opened++;
    await group.tell({ type: "open", session, options });
    let own: DistributedSession | undefined;
    try {
      own = await openDistributed(options);
    } catch (error) {
      await group.agree(failureOf(error)).catch(() => undefined);
      throw error;
    }
    await group.agree();
    return new LeaderSession(own, session, group, stop);
  };
}

export class LeaderSession implements Session {
  readonly #own: DistributedSession;
  readonly #number: number;
  readonly #group: Group;
  readonly #stop: () => void;

  constructor(own: DistributedSession, number: number, group: Group, stop: () => void) {
    this.#own = own;
    this.#number = number;
    this.#group = group;
    this.#stop = stop;
  }

  /** Has the others run a command, and runs it here. */
  async #together<T>(call: SharedCommand, run: (own: DistributedSession) => Promise<T>): Promise<T> {
    await this.#group.tell({ type: "command", session: this.#number, call });
    return run(this.#own);
  }

  /**
   * Has each of the others do its share of `work`, and does that of this process with `share`, which returns its answer.
   * @returns the answers of all, by rank
   */
  async divide(work: unknown, share: () => Promise<string>): Promise<string[]> {
    await this.#group.tell({ type: "share", session: this.#number, work });
    return this.#group.gather(await share());
  }

  async load(path: string): Promise<LoadReport> {
    const report = await this.#own.load(path);
    await this.#together({ command: "shareWeights" }, (own) => own.shareWeights());
    return report;
  }

  beginStage(options: StageOptions): Promise<StageReport> {
    return this.#together({ command: "beginStage", options }, (own) => own.beginStage(options));
  }

  setLossWeights(weights: LossWeights): Promise<void> {
    return this.#together({ command: "setLossWeights", weights }, (own) => own.setLossWeights(weights));
  }

  async trainEpoch(options: TrainEpochOptions): Promise<EpochReport> {
    const { signal, onStep, onNotice, ...told } = options;
    const indices = toText(options.indices);
    const call = { command: "trainEpoch", options: { ...told, store: resolve(options.store), indices } } as const;
    const report = await this.#together(call, (own) => own.trainEpoch(options));
    if (report.stopped && !signal?.aborted) this.#stop();
    return report;
  }

  async validate(options: ValidateOptions): Promise<ValidateReport> {
    const { signal, onNotice, ...told } = options;
    signal?.throwIfAborted();
    const indices = toText(options.indices);
    const call = { command: "validate", options: { ...told, store: resolve(options.store), indices } } as const;
    try {
      return await this.#together(call, (own) => validateTogether(own, options));
    } catch (error) {
      if (!(error instanceof CellsamError && error.code === "ERR_CANCELLED") || signal?.aborted) throw error;
      this.#stop();
      throw signal?.reason ?? error;
    }
  }

  observe(loss: number): Promise<{ lr: number }> {
    return this.#together({ command: "observe", loss }, (own) => own.observe(loss));
  }

  async loadState(path: string): Promise<StateReport> {
    const call = { command: "loadState", path: resolve(path), sha256: await fileHash(path) } as const;
    return this.#together(call, (own) => own.loadState(path));
  }

  transferWeights(to: "image_encoder" | "cellfinder" = "image_encoder"): Promise<void> {
    return this.#together({ command: "transferWeights", to }, (own) => own.transferWeights(to));
  }

  endStage(): Promise<void> {
    return this.#together({ command: "endStage" }, (own) => own.endStage());
  }

  save(...args: Parameters<Session["save"]>): ReturnType<Session["save"]> {
    return this.#own.save(...args);
  }

  digest(): Promise<Record<string, string>> {
    return this.#own.digest();
  }

  parameters(): ReturnType<Session["parameters"]> {
    return this.#own.parameters();
  }

  saveState(path: string): ReturnType<Session["saveState"]> {
    return this.#own.saveState(path);
  }

  get concurrency(): number {
    return this.#own.concurrency;
  }

  predict(options: PredictOptions & Required<Pick<PredictOptions, "boxes">>): Promise<BoxPrediction>;
  predict(options: PredictOptions): Promise<Prediction>;
  predict(options: PredictOptions): Promise<Prediction> {
    return this.#own.predict(options);
  }

  candidates(options: CandidatesOptions): Promise<Candidates> {
    return this.#own.candidates(options);
  }

  promptIou(options: PromptIouOptions): Promise<PromptIou> {
    return this.#own.promptIou(options);
  }

  embed(options: EmbedOptions): Promise<SessionView> {
    return this.#own.embed(options);
  }

  get disposed(): boolean {
    return this.#own.disposed;
  }

  async dispose(): Promise<void> {
    // The others may be gone, which whoever ends the session knows already.
    if (!this.disposed) await this.#group.tell({ type: "close", session: this.#number }).catch(() => undefined);
    await this.#own.dispose();
  }

  [Symbol.dispose](): void {
    void this.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}
