// Every way of ending a process or a worker while a job runs must end cleanly: no signal, no hang, the expected exit code.
// Once with the fake engine, whose job never ends, and once with a real training. CELLSAM_STRESS_TIMES sets the repetitions.
import { execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { endings, fakeEngine, root } from "./engine.js";
import { realTraining } from "./training.js";

const times = Number(process.env.CELLSAM_STRESS_TIMES ?? 4);
const environments: Record<string, NodeJS.ProcessEnv> = {};

beforeAll(async () => {
  environments.fake = { ...process.env, CELLSAM_ENGINE: fakeEngine() };
  // Long enough that no epoch ends before its process does.
  environments.real = { ...process.env, CELLSAM_STRESS_TRAIN: JSON.stringify(await realTraining(100_000)) };
  if (!existsSync(join(root, "dist", "engine", "native.js"))) {
    execFileSync(process.execPath, [join(root, "scripts", "compile.mjs")], { stdio: "inherit" });
  }
});

interface Ending {
  code: number | null;
  signal: string | null;
  out: string;
  err: string;
}

function end(mode: string, env: NodeJS.ProcessEnv | undefined): Promise<Ending> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(root, "test", "stress", "child.mjs"), mode], {
      ...(env && { env }),
      timeout: 900_000,
    });
    let out = "";
    let err = "";
    child.stdout.on("data", (text) => {
      out += text;
    });
    child.stderr.on("data", (text) => {
      err += text;
    });
    child.on("close", (code, signal) => resolve({ code, signal, out, err }));
  });
}

test("an end cuts short the wait of a job that told more than was heard", async () => {
  for (let i = 0; i < times; i++) {
    const ending = await end("held-up", environments.fake);
    expect(ending, ending.err).toMatchObject({ code: 0, signal: null, out: "running\n" });
  }
});

describe.each(["fake", "real"])("%s engine", (engine) => {
  describe.each(endings)("%s", (mode, code, out) => {
    test(`${times} of ${times} end cleanly`, { timeout: times * 900_000 }, async () => {
      for (let i = 0; i < times; i++) {
        const ending = await end(mode, environments[engine]);
        expect(ending, ending.err).toMatchObject({ code, signal: null, out });
      }
    });
  });
});
