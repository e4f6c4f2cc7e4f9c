// Frames of Blosc, against the library that packs them, and damaged ones.
import blosc from "numcodecs/blosc";
import zstd from "numcodecs/zstd";
import { describe, expect, it } from "vitest";
import { unpackBlosc } from "../../lib/data/formats/blosc.js";
import { random } from "./drawn-cells.js";

const unpackZstd = async (bytes: Uint8Array) => zstd.fromConfig({ id: "zstd" }).decode(bytes);
const unpacked = (frame: Uint8Array, most: number) => unpackBlosc(frame, most, unpackZstd);
const packed = (bytes: Uint8Array, settings: object) =>
  blosc.fromConfig({ id: "blosc", clevel: 5, shuffle: 0, blocksize: 0, ...settings } as never).encode(bytes);

const next = random(7);
/** Noise, runs, far and near repetitions, and a picture's slow changes. */
const contents: Record<string, (i: number) => number> = {
  noise: () => next() * 256,
  "few values": () => next() * 3,
  runs: (i) => i >> 9,
  "a slope of 16 bits": (i) => (i % 2 ? i >> 11 : (i >> 1) & 255),
  "far repetitions": (i) => ((i % 9001) * 2654435761) >>> 24,
};

describe("a frame of Blosc", () => {
  it.each(["lz4", "lz4hc", "zstd", "zlib", "blosclz"])("packed by %s holds what was packed", async (cname) => {
    for (const [name, value] of Object.entries(contents)) {
      for (const length of [1, 15, 64, 1000, 4096, 70_001]) {
        const bytes = Uint8Array.from({ length }, (_, i) => value(i));
        for (const [shuffle, elementsize] of [
          [0, 1],
          [1, 2],
          [1, 4],
          [2, 2],
          [2, 8],
        ]) {
          const frame = await packed(bytes, { cname, shuffle, elementsize });
          const place = `${name}, ${length} bytes, shuffle ${shuffle}, ${elementsize} each`;
          expect(Buffer.from(await unpacked(frame, length)).equals(bytes), place).toBe(true);
          if (name === "runs" && length > 4000) expect(frame.length, place).toBeLessThan(length / 2);
          await expect(unpacked(frame, length - 1), place).rejects.toThrow(`declares ${length} bytes`);
        }
      }
    }
  });

  it.each(["lz4", "zstd", "zlib", "blosclz"])(
    "packed by %s is refused with a code where it is cut off or changed",
    async (cname) => {
      const bytes = Uint8Array.from({ length: 3000 }, (_, i) => (i >> 6) + Number(i % 50 === 0));
      const frame = await packed(bytes, { cname, shuffle: 1, elementsize: 2 });
      for (let length = 0; length < frame.length; length += 7)
        await expect(unpacked(frame.subarray(0, length), 3000)).rejects.toMatchObject({ code: "ERR_IMAGE_BROKEN" });
      let refused = 0;
      for (let i = 0; i < 2000; i++) {
        const damaged = Uint8Array.from(frame);
        const at = Math.floor(next() * damaged.length);
        damaged[at] = (damaged[at] as number) ^ (1 << Math.floor(next() * 8));
        // Of the values themselves, which have no checksum, nothing tells a change.
        const end = await unpacked(damaged, 3000).catch((error: Error) => error);
        if (end instanceof Error) refused += 1;
        else expect(end.length).toBeLessThanOrEqual(3000);
      }
      expect(refused).toBeGreaterThan(20);
    },
  );
});
