/** A real Slurm with two "machines" in this one, for tests: Debian's slurm-wlm and munge, as root, in a folder of its own. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePorts } from "../lib/distributed/freePorts.js";

/** Why the tests of Slurm cannot run here; null where they can. */
export function withoutSlurm(): string | null {
  const missing = ["slurmctld", "slurmd", "munged", "sbatch", "srun"].filter((name) => !which(name));
  if (missing.length > 0) return `${missing.join(", ")} missing: apt-get install slurm-wlm munge`;
  if (process.getuid?.() !== 0) return "the daemons need root";
  return existsSync("/etc/munge/munge.key") ? null : "there is no /etc/munge/munge.key, which the package munge makes";
}

export function which(name: string): boolean {
  return (process.env.PATH ?? "").split(":").some((folder) => existsSync(join(folder, name)));
}

export interface Slurm {
  /** The environment of its commands. */
  env: NodeJS.ProcessEnv;
  /** What a command of it prints. */
  run(command: string, args: readonly string[], cwd: string): string;
  stop(): Promise<void>;
}

/** Starts the daemons; `folder` is for their files. */
export async function startSlurm(folder: string): Promise<Slurm> {
  for (const name of ["state", "spool/n1", "spool/n2"]) mkdirSync(join(folder, name), { recursive: true });
  const conf = join(folder, "slurm.conf");
  writeFileSync(conf, configuration(folder, await freePorts(3)));
  const env = { ...process.env, SLURM_CONF: conf };
  const begun: string[] = [];
  const daemon = (command: string, args: string[], pidFile: string) => {
    execFileSync(command, args, { env, stdio: "ignore" });
    begun.push(pidFile);
  };
  // Its own: one that several shared would end with whoever started it.
  const munge = ["socket", "pid-file", "log-file", "seed-file"].map((name) => `--${name}=${join(folder, `munged.${name}`)}`);
  daemon("munged", ["--force", ...munge], join(folder, "munged.pid-file"));
  daemon("slurmctld", ["-f", conf], join(folder, "slurmctld.pid"));
  for (const node of ["n1", "n2"]) daemon("slurmd", ["-f", conf, "-N", node], join(folder, `slurmd-${node}.pid`));
  const slurm: Slurm = {
    env,
    run: (command, args, cwd) => execFileSync(command, args, { env, cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }),
    stop: async () => {
      for (const file of begun.reverse()) await end(Number(readFileSync(file, "utf8")));
    },
  };
  for (let i = 0; slurm.run("sinfo", ["-h", "-o", "%T"], folder).trim() !== "idle"; i++) {
    if (i === 120) throw new Error(`slurm does not start: ${readFileSync(join(folder, "slurmctld.log"), "utf8").slice(-2000)}`);
    await sleep(500);
  }
  return slurm;
}

/** Ends one process, and waits for it. */
async function end(pid: number): Promise<void> {
  try {
    process.kill(pid, "SIGTERM");
    for (let i = 0; i < 100; i++) {
      process.kill(pid, 0);
      await sleep(100);
    }
    process.kill(pid, "SIGKILL");
  } catch {
    // it is gone
  }
}

/**
 * Resolves when the job is over, with its state. A job that was requeued starts after 15 s and not after two minutes; sooner, the
 * end of its first script could count as that of the second.
 */
export async function finished(slurm: Slurm, job: string, cwd: string): Promise<string[]> {
  const waiting = new Map<string, number>();
  for (;;) {
    const states = new Set<string>();
    for (const line of slurm.run("scontrol", ["show", "job", job, "--oneliner"], cwd).split("\n").filter(Boolean)) {
      const [, id = "", state = "", restarts = "0"] =
        /^JobId=(\d+) .*JobState=(\w+) .*Restarts=(\d+)/.exec(line.replace(/Requeue=\d+ Restarts=/, "Restarts=")) ?? [];
      states.add(state);
      if (state !== "PENDING" || restarts === "0") continue;
      const since = waiting.get(id) ?? Date.now();
      waiting.set(id, since);
      if (Date.now() - since < 15_000) continue;
      try {
        slurm.run("scontrol", ["update", `JobId=${id}`, "StartTime=now"], cwd);
      } catch {
        // it has started by itself in the meantime
      }
    }
    if ([...states].every((state) => /^(COMPLETED|FAILED|CANCELLED|TIMEOUT|NODE_FAIL)$/.test(state))) return [...states];
    await sleep(500);
  }
}

function configuration(folder: string, [controller = 0, first = 0, second = 0]: readonly number[]): string {
  const host = hostname().split(".")[0] ?? "localhost";
  const node = (name: string, port: number) =>
    `NodeName=${name} NodeHostname=${host} NodeAddr=127.0.0.1 Port=${port} CPUs=2 RealMemory=1000 State=UNKNOWN`;
  return `ClusterName=cellsam
SlurmctldHost=${host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=${folder}/munged.socket
StateSaveLocation=${folder}/state
SlurmdSpoolDir=${folder}/spool/%n
SlurmctldPidFile=${folder}/slurmctld.pid
SlurmdPidFile=${folder}/slurmd-%n.pid
SlurmctldLogFile=${folder}/slurmctld.log
SlurmdLogFile=${folder}/slurmd-%n.log
SlurmctldPort=${controller}
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
KillWait=10
SlurmdParameters=config_overrides
${node("n1", first)}
${node("n2", second)}
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
`;
}
