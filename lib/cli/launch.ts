/** `cellsam launch -n 8 train ...`: starts processes of this machine that train one model together, and ends as they do. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:os";
import { Command } from "commander";
import { compiledFile } from "../compiledFile.js";
import { freePorts } from "../distributed/freePorts.js";
import { CellsamError } from "../errors.js";
import { endedBy } from "../processEnd.js";
import { exitCodes } from "./exit.js";
import { integerFlag } from "./flags.js";

/** How long the others may take to notice by themselves that one has ended. */
const noticeMs = 15_000;
/** Signals that a terminal, or whoever started this, sends perhaps to all processes. */
const signals: NodeJS.Signals[] =
  process.platform === "win32" ? ["SIGINT", "SIGBREAK"] : ["SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP"];

export function launchCommand(): Command {
  return new Command("launch")
    .description("train one model with several processes of this machine, a device each")
    .requiredOption("-n, --processes <n>", "how many", integerFlag)
    .argument("<command...>", "train or finetune, with their own flags")
    .passThroughOptions()
    .action(async (words: string[], { processes }: { processes: number }) => {
      process.exitCode = await launch(processes, words);
    });
}

/** Runs the command in `size` processes, and returns the exit code of them all. @throws CellsamError ERR_INVALID_ARGUMENT */
async function launch(size: number, words: readonly string[]): Promise<number> {
  if (size < 1) throw new CellsamError("ERR_INVALID_ARGUMENT", "--processes must be 1 or more");
  if (!["train", "finetune"].includes(words[0] ?? "")) {
    throw new CellsamError("ERR_INVALID_ARGUMENT", `launch starts train or finetune, not ${words[0]}`);
  }
  const [port] = await freePorts(1);
  const shared = { WORLD_SIZE: size, LOCAL_WORLD_SIZE: size, MASTER_ADDR: "127.0.0.1", MASTER_PORT: port };
  const children = Array.from({ length: size }, (_, rank) => {
    const env = Object.entries({ ...shared, RANK: rank, LOCAL_RANK: rank }).map(([name, value]) => [name, String(value)]);
    // The results of all are those of the first. By the channel each notices when this process is gone (stop.ts).
    const stdio = ["inherit", rank === 0 ? "inherit" : "ignore", "inherit", "ipc"] as const;
    return spawn(process.execPath, [compiledFile("cli/main.js"), ...words], {
      env: { ...process.env, ...Object.fromEntries(env) },
      stdio: [...stdio],
    });
  });
  // A signal that reached the processes already does no harm: they take several within five seconds for one.
  const pass = (signal: NodeJS.Signals) => {
    for (const child of children) child.kill(signal);
  };
  for (const signal of signals) process.on(signal, pass);
  const codes = await Promise.all(children.map((child, rank) => ended(child, rank, children)));
  for (const signal of signals) process.off(signal, pass);
  return codeOf(codes);
}

/** Waits for a process, and ends the others some time after it has failed. */
async function ended(child: ChildProcess, rank: number, all: readonly ChildProcess[]): Promise<number> {
  const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  const end = endedBy(code, signal);
  if (end) process.stderr.write(`process ${rank} was ended by ${end}\n`);
  if (code !== exitCodes.ok && code !== exitCodes.stopped) {
    setTimeout(() => {
      for (const other of all) other.kill("SIGKILL");
    }, noticeMs).unref();
  }
  return code ?? 128 + constants.signals[signal ?? "SIGKILL"];
}

/** That of the first process with a failure; 75 only where all have stopped, or had nothing left to do. */
export function codeOf(codes: readonly number[]): number {
  const failed = codes.find((code) => code !== exitCodes.ok && code !== exitCodes.stopped);
  return failed ?? (codes.includes(exitCodes.stopped) ? exitCodes.stopped : exitCodes.ok);
}
