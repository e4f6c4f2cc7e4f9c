// A server that is killed at any moment: what it has answered is there when it starts again, and at most the last stroke is lost.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compiledFile } from "../../lib/compiledFile.js";
import { Random } from "../../lib/data/random.js";
import type { EditAnswer, ImageView } from "../../lib/studio/api.js";
import { type LabelEdit, makeEdit } from "../../lib/studio/edits.js";
import { LabelMap } from "../../lib/studio/labelMap.js";
import { type Client, clientOf, height, width, writeDrawn } from "./studio-fixture.js";

let folder = "";
let server: ChildProcess | undefined;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-studio-killed-"));
  await mkdir(join(folder, "images"));
  await writeDrawn(folder, "one", []);
});
afterAll(async () => {
  server?.kill("SIGKILL");
  await rm(folder, { recursive: true });
});

/** Starts `cellsam studio`. */
async function started(): Promise<Client> {
  const program = compiledFile(join("cli", "main.js"));
  const child = spawn(process.execPath, [program, "studio", join(folder, "images"), "--json"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  server = child;
  const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
  return clientOf(JSON.parse(line).address);
}

const stroke = (random: Random): LabelEdit => ({
  kind: "paint",
  points: Array.from({ length: 30 }, () => [random.uniform(0, width), random.uniform(0, height)]),
  radius: random.uniform(1, 4),
  cell: null,
  over: "all",
});

describe("a server that is killed with SIGKILL", () => {
  it("has every stroke that it has answered, and at most the one after it", async () => {
    const random = new Random(3);
    const map = new LabelMap(new Int32Array(height * width), height, width, () => ({ score: null, state: "drawn" }));
    const states = [map.data.slice()];
    let next = stroke(random);
    for (let time = 0; time < 4; time++) {
      const client = await started();
      const { revision, undo } = await client.json<ImageView>("/api/images/1");
      const labels = await client.get("/api/images/1/labels/0/0/0");
      const found = new Int32Array(await labels.arrayBuffer());
      // The stroke that was under way when the server was killed is there, or it is not.
      if (revision === states.length) {
        makeEdit(map, next);
        states.push(map.data.slice());
        next = stroke(random);
      }
      expect([revision, undo]).toEqual([states.length - 1, states.length - 1]);
      expect(found.join()).toBe(states.at(-1)?.join());
      const end = setTimeout(() => server?.kill("SIGKILL"), random.uniform(50, 1500));
      try {
        for (;;) {
          const { revision: now } = await client.json<EditAnswer>("/api/images/1/edits", {
            revision: states.length - 1,
            edit: next,
          });
          makeEdit(map, next);
          states.push(map.data.slice());
          next = stroke(random);
          expect(now).toBe(states.length - 1);
        }
      } catch (error) {
        expect((error as Error).message).toBe("fetch failed");
      }
      clearTimeout(end);
      if (server?.exitCode === null && server.signalCode === null) await once(server, "close");
    }
    expect(states.length).toBeGreaterThan(5);
  });

  it("ends by itself at SIGTERM, with the labels in a file", async () => {
    await started();
    const child = server as ChildProcess;
    child.kill("SIGTERM");
    expect(await once(child, "close")).toEqual([0, null]);
  });
});
