// Calls of a queue's server that is away for a while. With a real server: test/e2e/queue.test.ts.
import { describe, expect, it } from "vitest";
import { poolSlots } from "../../lib/config/pool.js";
import { isOutage, patience } from "../../lib/queue/patience.js";
import { placeOf } from "../../lib/queue/server.js";

const failure = (message: string, code?: unknown) => Object.assign(new Error(message), code === undefined ? {} : { code });

describe("a server that is away", () => {
  it("is told from one that refuses a call", () => {
    // https://www.postgresql.org/docs/current/errcodes-appendix.html; messages without a code are those of the driver.
    const away = [
      failure("connect ECONNREFUSED 127.0.0.1:5432", "ECONNREFUSED"),
      failure("terminating connection due to administrator command", "57P01"),
      failure("the database system is starting up", "57P03"),
      failure("sorry, too many clients already", "53300"),
      failure("could not serialize access", "40001"),
      failure("Connection terminated unexpectedly"),
      failure("Query read timeout"),
    ];
    expect(away.filter((error) => !isOutage(error))).toEqual([]);
    const refusals = [
      failure("Missing key for job 1", -1),
      failure('relation "job" does not exist', "42P01"),
      failure('password authentication failed for user "ada"', "28P01"),
      new TypeError("job is undefined"),
      "connection",
    ];
    expect(refusals.filter(isOutage)).toEqual([]);
  });

  it("is asked again until it answers, which is said once", async () => {
    const told: string[] = [];
    const patiently = patience((message) => told.push(message));
    let calls = 0;
    const answer = await patiently(async () => {
      calls += 1;
      if (calls < 3) throw failure("connect ECONNREFUSED", "ECONNREFUSED");
      return calls;
    });
    expect(answer).toBe(3);
    expect(told).toEqual([
      "the queue does not answer (connect ECONNREFUSED); trying again until it does",
      "the queue answers again",
    ]);
  });

  it("is asked once more, and no longer, when the work is stopped; a refusal is final", async () => {
    const patiently = patience(() => undefined);
    const stop = new AbortController();
    let calls = 0;
    const away = patiently(async () => {
      calls += 1;
      stop.abort();
      throw failure("Connection terminated");
    }, stop.signal);
    await expect(away).rejects.toThrow("Connection terminated");
    expect(calls).toBe(1);
    await expect(patiently(async () => Promise.reject(failure("no such job", -1)))).rejects.toThrow("no such job");
  });
});

describe("a queue as a setting", () => {
  it("lets all folds wait at once, and is in place of devices and launchers", () => {
    const queue = "postgres://ada:secret@db1/cells";
    expect(poolSlots({ queue })).toMatchObject({ maxParallel: 256, queue });
    expect(poolSlots({ queue, maxParallel: 3 }).maxParallel).toBe(3);
    expect(placeOf(queue)).toBe("db1/cells");
    for (const more of [{ devices: ["cuda:0"] }, { launcher: "srun" }])
      expect(() => poolSlots({ queue, ...more })).toThrow(/queue: is in place of devices and launcher/);
    expect(() => poolSlots({ queue: "mysql://db1/cells" })).toThrow(/must be the URL of a database/);
  });
});
