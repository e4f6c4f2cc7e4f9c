// The event channel between a run and its `for await` reader, and the mapping of names at the border.
import { describe, expect, test } from "vitest";
import { fromBorder, toBorder } from "../../lib/engine/names.js";
import { EventChannel } from "../../lib/events.js";
import { camelCase, snakeCase } from "../../lib/spelling.js";

const step = (n: number) => ({ type: "step", n });
const epoch = (n: number) => ({ type: "epoch", n });

async function read(channel: EventChannel<{ type: string; n: number }>): Promise<string[]> {
  const heard: string[] = [];
  for await (const event of channel) heard.push(`${event.type}${event.n}`);
  return heard;
}

describe("EventChannel", () => {
  test("unread steps give way to the newest, epochs never", async () => {
    const channel = new EventChannel<{ type: string; n: number }>();
    for (let n = 1; n <= 1000; n++) channel.push(step(n));
    channel.push(epoch(1));
    for (let n = 1; n <= 1000; n++) channel.push(step(n));
    channel.push(epoch(2));
    channel.push(epoch(3));
    expect(channel.size).toBe(5);
    channel.end();
    channel.push(step(5));
    expect(await read(channel)).toEqual(["step1000", "epoch1", "step1000", "epoch2", "epoch3"]);
  });

  test("a waiting reader hears each event, then the end", async () => {
    const channel = new EventChannel<{ type: string; n: number }>();
    const reading = read(channel);
    for (let n = 1; n <= 3; n++) {
      channel.push(step(n));
      await new Promise(setImmediate);
    }
    channel.end();
    expect(await reading).toEqual(["step1", "step2", "step3"]);
  });

  test("an error arrives after the events before it", async () => {
    const channel = new EventChannel<{ type: string; n: number }>();
    channel.push(epoch(1));
    channel.fail(new Error("gone"));
    const reader = channel[Symbol.asyncIterator]();
    expect(await reader.next()).toEqual({ done: false, value: epoch(1) });
    await expect(reader.next()).rejects.toThrow("gone");
    expect(await reader.next()).toEqual({ done: true, value: undefined });
    expect(() => channel[Symbol.asyncIterator]()).toThrow(TypeError);
  });

  test("a reader that leaves stops the collecting", async () => {
    const channel = new EventChannel<{ type: string; n: number }>();
    channel.push(epoch(1));
    channel.push(epoch(2));
    for await (const event of channel) {
      expect(event.n).toBe(1);
      break;
    }
    channel.push(epoch(3));
    expect(channel.size).toBe(0);
  });
});

describe("names", () => {
  test.each([
    ["imagesPerSecond", "images_per_second"],
    ["lr", "lr"],
    ["onlineHardNegativeMiningWeighted", "online_hard_negative_mining_weighted"],
    ["stage1Type", "stage1_type"],
    ["bestF1", "best_f1"],
    ["sha256", "sha256"],
  ])("%s <-> %s", (camel, snake) => {
    expect(snakeCase(camel)).toBe(snake);
    expect(camelCase(snake)).toBe(camel);
  });

  test("arrays of numbers and names of losses pass untouched", () => {
    const data = Float32Array.of(1);
    expect(toBorder({ someList: [{ innerName: 1 }], image: { data, shape: [1] }, gone: undefined })).toEqual({
      some_list: [{ inner_name: 1 }],
      image: { data, shape: [1] },
    });
    expect(fromBorder({ losses: { total_loss: 1 }, grad_norm: null, groups: [{ learning_rate: 2 }] })).toEqual({
      losses: { total_loss: 1 },
      gradNorm: null,
      groups: [{ learningRate: 2 }],
    });
  });
});
