/**
 * A copy with bits flipped, bytes replaced by telling ones, pieces cut out, doubled or cut off.
 * @param {Buffer} seed
 * @param {{ integer: (least: number, most: number) => number }} random
 * @param {{ most?: number, placeIn?: (length: number) => number }} [how] most: so many damages at most; placeIn: where one is
 */
export function damaged(seed, random, { most = 3, placeIn = (length) => random.integer(0, length - 1) } = {}) {
  let bytes = Buffer.from(seed);
  for (let times = random.integer(1, most); times > 0; times--) {
    const at = placeIn(bytes.length);
    const to = Math.min(bytes.length, at + random.integer(1, 12));
    const kind = random.integer(0, 5);
    if (kind === 0) bytes[at] = (bytes[at] ?? 0) ^ (1 << random.integer(0, 7));
    else if (kind === 1) bytes[at] = [0, 255, 127, 128, 45, 57, 91, 123][random.integer(0, 7)] ?? 0;
    else if (kind === 2) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(to)]);
    else if (kind === 3) bytes = Buffer.concat([bytes.subarray(0, to), bytes.subarray(at)]);
    else if (kind === 4) bytes[at] = random.integer(0, 255);
    else bytes = Buffer.from(bytes.subarray(0, Math.max(1, at)));
    if (bytes.length === 0) bytes = Buffer.from([0]);
  }
  return bytes;
}
