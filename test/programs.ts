/**
 * The native test programs: where they lie, what they need to run, and how vitest judges what they print. A program prints one
 * JSON line per check and a last one with the counts. CELLSAM_TEST_PROGRAMS names their folder, CELLSAM_LIBTORCH their libtorch.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { promisify } from "node:util";
import { expect } from "vitest";

export const root = resolve(import.meta.dirname, "..");
const programs = resolve(root, process.env.CELLSAM_TEST_PROGRAMS ?? "build/test");
const libtorch = process.env.CELLSAM_LIBTORCH;

const windows = process.platform === "win32";

/** Where the system looks for libraries. */
export const libraryVariable = windows ? "PATH" : process.platform === "darwin" ? "DYLD_LIBRARY_PATH" : "LD_LIBRARY_PATH";
/** Its value, with which a program finds libtorch. */
export const libraryPath = [libtorch && join(libtorch, "lib"), process.env[libraryVariable]].filter(Boolean).join(delimiter);

export const programEnvironment: NodeJS.ProcessEnv = {
  ...process.env,
  OMP_NUM_THREADS: process.env.CELLSAM_TEST_THREADS ?? "1",
  [libraryVariable]: libraryPath,
};

/** The programs of one binary are called by name (test/native/program.h); `weights` stands alone, since it replaces a function of libc. */
export function programCall(name: string): [string, string] {
  const binary = name === "weights" ? name : "programs";
  const path = join(programs, windows ? `${binary}.exe` : binary);
  if (!existsSync(path)) throw new Error(`${path} is not built: run npm test, or npm run build -- --tests`);
  return [path, name];
}

interface Finding {
  name: string;
  ok: boolean;
  max_error?: number;
  limit?: number;
}

/** Standard output; a program that did not end by itself, or with anything but 0 or 1, is an error. */
export async function runProgram(name: string, args: string[] = []): Promise<string> {
  const options = { env: programEnvironment, maxBuffer: 64 << 20 };
  const [binary, program] = programCall(name);
  return promisify(execFile)(binary, [program, ...args], options).then(
    ({ stdout }) => stdout,
    // 1 says that a check failed: which one stands in the output.
    (error: { code?: unknown; stdout?: string }) => {
      if (error.code === 1 && error.stdout) return error.stdout;
      throw error;
    },
  );
}

/** Expects every check of a program to hold, and at least `atLeast` of them to have been made. */
export async function expectAllHold(program: string, args: string[] = [], atLeast = 10): Promise<void> {
  const lines = (await runProgram(program, args)).trim().split("\n");
  const verdict = JSON.parse(lines.pop() ?? "") as { compared: number; failed: number };
  const findings = lines.map((line) => JSON.parse(line) as Finding);
  const failed = findings.filter(({ ok }) => !ok);
  expect(failed.map(({ name, max_error, limit }) => `${name}: ${max_error ?? "does not hold"}, limit ${limit ?? "-"}`)).toEqual(
    [],
  );
  expect(verdict).toMatchObject({ compared: findings.length, failed: 0 });
  expect(findings.length).toBeGreaterThanOrEqual(atLeast);
}
