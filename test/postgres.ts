/** A real PostgreSQL server for tests: Debian's, on a free port and in a folder of its own. It refuses to run as root. */
import { execFileSync } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../lib/distributed/freePorts.js";

const installed = "/usr/lib/postgresql";

/** Why the tests of PostgreSQL cannot run here; null where they can. */
export function withoutPostgres(): string | null {
  if (process.platform === "win32") return "the tests start a server as Debian installs it";
  return programs() ? null : "initdb and pg_ctl missing: apt-get install postgresql";
}

/** The folder of the newest server's programs, which Debian keeps out of PATH. */
function programs(): string | null {
  const versions = existsSync(installed) ? readdirSync(installed).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = [...versions.map((version) => join(installed, version, "bin")), ...(process.env.PATH ?? "").split(":")];
  return folders.find((folder) => existsSync(join(folder, "initdb")) && existsSync(join(folder, "pg_ctl"))) ?? null;
}

export interface Postgres {
  url: string;
  /** `immediate`: as after a crash. */
  stop(how?: "fast" | "immediate"): void;
  start(): void;
  /** Stops it for good. */
  end(): void;
}

export async function startPostgres(): Promise<Postgres> {
  const [port] = await freePorts(1);
  const home = mkdtempSync(join(tmpdir(), "cellsam-postgres-"));
  const nobody = 65_534;
  const user = process.getuid?.() === 0 ? { uid: nobody, gid: nobody } : {};
  if (user.uid) chownSync(home, user.uid, user.gid);
  const run = (program: string, ...args: string[]) =>
    void execFileSync(join(programs() as string, program), args, { cwd: home, stdio: "ignore", ...user });
  const data = ["-D", join(home, "data")];
  run("initdb", ...data, "--username=cellsam", "--auth=trust", "--no-sync");
  const settings = `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''`;
  const server: Postgres = {
    url: `postgres://cellsam@127.0.0.1:${port}/postgres`,
    stop: (how = "fast") => run("pg_ctl", ...data, "stop", "-w", "-m", how),
    start: () => run("pg_ctl", ...data, "start", "-w", "-l", join(home, "log"), "-o", settings),
    end: () => {
      server.stop("immediate");
      rmSync(home, { recursive: true });
    },
  };
  server.start();
  return server;
}
