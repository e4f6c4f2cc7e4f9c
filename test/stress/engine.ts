/** The fake engine: the border of the real one, with commands that sleep, loop, emit and throw. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Compiles the fake engine when it is missing or older than its source, and returns its path. */
export function fakeEngine(): string {
  const source = join(root, "test", "stress", "fake_engine.cc");
  const library = join(root, "build", "test", "libfake_engine.so");
  const newest = Math.max(...[source, join(root, "native", "engine.h")].map((file) => statSync(file).mtimeMs));
  if (!existsSync(library) || statSync(library).mtimeMs < newest) {
    mkdirSync(dirname(library), { recursive: true });
    const flags = ["-std=c++20", "-O1", "-fPIC", "-shared", "-fvisibility=hidden", `-I${join(root, "native")}`];
    execFileSync(process.env.CXX ?? "c++", [...flags, source, "-o", library], { stdio: "inherit" });
  }
  return library;
}

/** The modes of child.mjs, each with the exit code and the output of an end that is clean. */
export const endings: [mode: string, code: number, out: string][] = [
  ["exit", 0, "running\n"],
  ["throw", 1, "running\n"],
  ["dispose", 0, "running\nclean\n"],
  ["worker-terminate", 0, "running\nclean\n"],
  ["worker-exit", 0, "running\nclean\n"],
  ["worker-throw", 0, "running\nclean\n"],
];
