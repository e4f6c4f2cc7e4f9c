/** Runs the built command line in child processes, as a user does. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

export interface Finished {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  /** Lines of stdout that are whole JSON objects. */
  events: Record<string, unknown>[];
}

/** `watch` sees every JSON line as it comes, and may signal the process. Runs in `cwd` (default: that of the tests). */
export function cellsam(
  args: readonly string[],
  watch: (event: Record<string, unknown>, child: ChildProcess) => void = () => undefined,
  cwd?: string,
) {
  if (!existsSync(main)) throw new Error("dist/ is missing: run `npm run build` first");
  return new Promise<Finished>((resolve, reject) => {
    const child = spawn(process.execPath, [main, ...args], { stdio: ["ignore", "pipe", "pipe"], cwd });
    const finished: Finished = { code: null, signal: null, stdout: "", stderr: "", events: [] };
    createInterface({ input: child.stdout }).on("line", (line) => {
      finished.stdout += `${line}\n`;
      if (!line.startsWith('{"')) return;
      const event = JSON.parse(line) as Record<string, unknown>;
      finished.events.push(event);
      watch(event, child);
    });
    child.stderr.on("data", (text) => {
      finished.stderr += text;
    });
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ ...finished, code, signal }));
  });
}
