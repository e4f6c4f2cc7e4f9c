/** The processes that train one model together, as one of them sees the others. */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { CommandSession } from "../engine/commandSession.js";
import { openNative } from "../engine/native.js";
import { CellsamError, type Failure } from "../errors.js";
import type { Order } from "./orders.js";
import type { Place } from "./place.js";

/** Every method rejects with ERR_PEER_LOST when another process has ended, or does not answer. */
export class Group extends CommandSession {
  readonly rank: number;
  readonly size: number;
  /** Among the processes of this machine, from 0. */
  readonly localRank: number;

  private constructor(native: ConstructorParameters<typeof CommandSession>[0], { rank, size }: Place, localRank: number) {
    super(native);
    this.rank = rank;
    this.size = size;
    this.localRank = localRank;
  }

  /** Waits for all processes. `timeout` in seconds. @throws CellsamError ERR_PEER_LOST, ERR_STATE when this process is in a group already */
  static async join(place: Place, timeout: number): Promise<Group> {
    const { rank, size, address, port, file, attempt, hostsStore } = place;
    const native = await openNative({
      kind: "process_group",
      ...{ rank, size, address, port, file, attempt, timeout },
      hosts_store: hostsStore,
      machine: hostname(),
      cores: allowedCores(),
      interface: process.env.GLOO_SOCKET_IFNAME ?? "",
    });
    const joined = (await native.call("place", {}).promise) as { local_rank: number };
    return new Group(native, place, joined.local_rank);
  }

  /** Process 0: gives all others an order. */
  async tell(order: Order): Promise<void> {
    await this.command("tell", { message: JSON.stringify(order) });
  }

  /** The others: the next order, however long it takes. */
  async receive(): Promise<Order> {
    const { message } = await this.command<{ message: string }>("receive");
    return JSON.parse(message) as Order;
  }

  /** Process 0 gets the text of every process, by rank; the others get none. All call it. */
  async gather(text: string): Promise<string[]> {
    return (await this.command<{ texts: string[] }>("gather", { text })).texts;
  }

  /**
   * Waits for all others to agree that nothing has failed.
   * @throws CellsamError `failure`, and in the others the same with the name of this process
   */
  async agree(failure: Failure | null = null): Promise<void> {
    await this.command("agree", failure ? { code: failure.code, message: failure.message } : {});
  }
}

/** Which cores this process may use: processes that may use the same ones divide them. Only Linux binds processes to cores. */
function allowedCores(): string {
  try {
    return /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "";
  } catch {
    return "";
  }
}

export function peerFailure(error: unknown): error is CellsamError {
  return error instanceof CellsamError && (error.code === "ERR_PEER_LOST" || error.code === "ERR_DISPOSED");
}
