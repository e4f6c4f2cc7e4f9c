// The priority of a session's threads among the programs of a machine, as Linux tells it.
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { isPretend } from "../device.js";
import { smallSession } from "./training-tiles.js";

/** How nice each thread of this process is, by its number. */
function niceness(): Map<string, number> {
  return new Map(
    readdirSync("/proc/self/task").map((thread) => {
      const status = readFileSync(`/proc/self/task/${thread}/stat`, "utf8");
      const [, fields = ""] = /\) (.*)/.exec(status) ?? []; // behind the name, the third field and those after it
      return [thread, Number(fields.split(" ")[16])];
    }),
  );
}

/** How nice the threads are that a session of two threads has started. */
async function niceOf(priority: "normal" | "low"): Promise<Set<number | undefined>> {
  const before = niceness();
  await using session = await smallSession({ threads: 2, priority });
  await session.digest();
  return new Set([...niceness()].filter(([thread]) => !before.has(thread)).map(([, nice]) => nice));
}

describe.skipIf(process.platform !== "linux")("a session", () => {
  const own = () => niceness().get(String(process.pid));

  test("has the priority of the process", async () => {
    expect([...(await niceOf("normal"))]).toEqual([own()]);
  });

  test("has a low one when it is asked to, and leaves that of the event loop; on a GPU nothing may be late", async () => {
    const before = own();
    expect([...(await niceOf("low"))]).toEqual([isPretend ? before : 10]);
    expect(own()).toBe(before);
  });
});
