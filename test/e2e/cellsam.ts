/** Runs the built command line in child processes, as a user does. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

export interface Answer {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  /** Lines of stdout that are whole JSON objects. */
  events: Record<string, unknown>[];
}

/** `watch` sees every JSON line as it comes, and may signal the process. */
export function cellsam(
  args: string[],
  watch: (event: Record<string, unknown>, child: ChildProcess) => void = () => undefined,
) {
  if (!existsSync(main)) throw new Error("dist/ is missing: run `npm run build` first");
  return new Promise<Answer>((resolve, reject) => {
    const child = spawn(process.execPath, [main, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    const answer: Answer = { code: null, signal: null, stdout: "", stderr: "", events: [] };
    createInterface({ input: child.stdout }).on("line", (line) => {
      answer.stdout += `${line}\n`;
      if (!line.startsWith('{"')) return;
      const event = JSON.parse(line) as Record<string, unknown>;
      answer.events.push(event);
      watch(event, child);
    });
    child.stderr.on("data", (text) => {
      answer.stderr += text;
    });
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ ...answer, code, signal }));
  });
}
