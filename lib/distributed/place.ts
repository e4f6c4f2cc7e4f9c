/** Finds out from the environment whether this process was started with others to train one model, and how they meet. */
import { CellsamError } from "../errors.js";

/** This process among those that were started together. */
export interface Place {
  /** From 0. */
  rank: number;
  size: number;
  /** Of the store by which they find each other. */
  address: string;
  port: number;
  /** Whether this process is the store's server. */
  hostsStore: boolean;
  /** A file on a shared file system, in place of address and port; empty without. */
  file: string;
  /** Differs when the same launcher starts the processes again. */
  attempt: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Names of the variables that hold rank, size, and how many of the processes are on this machine. */
const launchers = [
  { rank: "RANK", size: "WORLD_SIZE", here: "LOCAL_WORLD_SIZE" }, // torchrun, cellsam launch, Kubeflow's PyTorchJob and TrainJob
  { rank: "OMPI_COMM_WORLD_RANK", size: "OMPI_COMM_WORLD_SIZE", here: "OMPI_COMM_WORLD_LOCAL_SIZE" }, // Open MPI
  { rank: "PMI_RANK", size: "PMI_SIZE", here: "MPI_LOCALNRANKS" }, // MPICH, Intel MPI
  // Those of srun's step: the script of sbatch is a process of its own, however many tasks its job has.
  { rank: "SLURM_PROCID", size: "SLURM_STEP_NUM_TASKS", here: null },
  { rank: "JOB_COMPLETION_INDEX", size: "WORLD_SIZE", here: null }, // an Indexed Job that says how many pods it has
] as const;

/**
 * The place of this process; null where it was started alone.
 * @throws CellsamError ERR_CONFIG where the variables contradict each other, or do not say where process 0 is
 */
export function placeOf(env: Environment = process.env): Place | null {
  for (const launcher of launchers) {
    if (!env[launcher.rank] || !env[launcher.size]) continue;
    const rank = Number(env[launcher.rank]);
    const size = Number(env[launcher.size]);
    if (!Number.isInteger(rank) || !Number.isInteger(size) || rank < 0 || rank >= size) {
      const said = `${launcher.rank}=${env[launcher.rank]}, ${launcher.size}=${env[launcher.size]}`;
      throw new CellsamError("ERR_CONFIG", `the environment names no process of several: ${said}. Or set distributed: off`);
    }
    if (size === 1) return null;
    const file = env.CELLSAM_STORE_FILE ?? "";
    const oneMachine = launcher.here ? Number(env[launcher.here]) === size : env.SLURM_STEP_NUM_NODES === "1";
    const address = file ? "" : addressOf(env, oneMachine);
    // torchrun's own process is the server of its processes.
    const hostsStore = rank === 0 && env.TORCHELASTIC_USE_AGENT_STORE !== "True";
    const attempt = `${env.TORCHELASTIC_RUN_ID ?? ""}/${env.TORCHELASTIC_RESTART_COUNT ?? env.SLURM_RESTART_COUNT ?? 0}`;
    return { rank, size, address, port: portOf(env), hostsStore, file, attempt };
  }
  return null;
}

function addressOf(env: Environment, oneMachine: boolean): string {
  if (env.MASTER_ADDR) return env.MASTER_ADDR;
  if (oneMachine) return "127.0.0.1";
  const nodes = env.SLURM_STEP_NODELIST ?? env.SLURM_JOB_NODELIST;
  if (nodes) return firstHost(nodes);
  const message = "the processes do not know where the first of them is: set MASTER_ADDR to the name of its machine";
  throw new CellsamError("ERR_CONFIG", message);
}

/** The first name of a list of Slurm's, such as node[07-09,12],gpu3. */
export function firstHost(nodes: string): string {
  const [, name = "", numbers] = /^([^[,]*)(?:\[([^\]]*)\])?/.exec(nodes) ?? [];
  return name + (numbers?.split(/[,-]/)[0] ?? "");
}

/** Jobs of Slurm that share a machine have ports of their own. */
function portOf({ MASTER_PORT, SLURM_JOB_ID, SLURM_STEP_ID }: Environment): number {
  if (MASTER_PORT) return Number(MASTER_PORT);
  return SLURM_JOB_ID ? 15_000 + ((Number(SLURM_JOB_ID) * 8 + (Number(SLURM_STEP_ID) % 8 || 0)) % 15_000) : 29_500;
}
