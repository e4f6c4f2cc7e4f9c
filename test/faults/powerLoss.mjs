/**
 * The disks that a kill or a power failure can leave at every telling operation of a command (disk.mjs), and what comes of them.
 * They are made from the trace of one run of it.
 */
import { afterwards, outcomeOf } from "./scenario.mjs";

const { Random } = await import("../../dist/data/random.js");

/** @typedef {{ place: string, remains: ReturnType<import("./disk.mjs").Disk["after"]> }} Left a disk, and how it came about */

/**
 * Every different disk that a kill leaves: before an operation, and after half of a write.
 * @param {import("./faults.mjs").FaultTest} test of which this uses up the disk
 * @param {{ places?: readonly number[] }} [how]
 * @returns {Generator<Left>}
 */
export function* killings({ disk, operations, places: telling, scenario }, { places = telling } = {}) {
  const wanted = new Set(places);
  const seen = new Set();
  const left = (/** @type {string} */ where) => {
    const remains = disk.after("all");
    const isNew = !seen.has(remains.hash);
    seen.add(remains.hash);
    return isNew ? [{ place: `${scenario.name}, killed ${where}`, remains }] : [];
  };
  for (const operation of operations) {
    const { kind, number, bytes } = operation;
    if (wanted.has(number)) {
      yield* left(`before operation ${number}`);
      if (kind === "w" && bytes.length > 1) {
        disk.apply({ ...operation, bytes: bytes.subarray(0, bytes.length >> 1) });
        yield* left(`in operation ${number}`);
      }
    }
    disk.apply(operation);
  }
}

/**
 * Every different disk, with the place and the kind of the loss. `drawn`: so many with a loss by chance at each place.
 * @param {import("./faults.mjs").FaultTest} test of which this uses up the disk
 * @param {{ drawn?: number, places?: readonly number[] }} [how]
 * @returns {Generator<Left>}
 */
export function* powerLosses({ disk, operations, places: telling, scenario }, { drawn = 2, places = telling } = {}) {
  const wanted = new Set(places);
  const seen = new Set();
  for (const operation of operations) {
    disk.apply(operation);
    if (!wanted.has(operation.number)) continue;
    /** @type {[string, import("./disk.mjs").Loss][]} */
    const losses = [
      ["all is lost", "lost"],
      ["names without content", "names"],
      ["zeros", "zeros"],
    ];
    for (let i = 0; i < drawn; i++) {
      const random = new Random(operation.number * 100 + i);
      losses.push([`drawn ${i}`, { chance: () => random.uniform() < 0.5 }]);
    }
    for (const [name, loss] of losses) {
      const remains = disk.after(loss);
      const { hash } = remains;
      if (seen.has(hash)) continue;
      seen.add(hash);
      yield { place: `${scenario.name}, power failure after operation ${operation.number}, ${name}`, remains };
    }
  }
}

/**
 * What is wrong when the second command finds this disk.
 * @param {import("./faults.mjs").FaultTest} test
 * @param {Left} left
 * @param {{ mayRefuse: boolean }} how
 */
export async function tryDisk({ cellsam, scenario, expected }, { place, remains }, { mayRefuse }) {
  remains.writeTo(scenario.out);
  const { refused, problem } = await afterwards(cellsam, scenario, expected, { mayRefuse });
  return { refused, problem: problem && `${place}: ${problem}` };
}

/** What of the outcome a power failure takes after the command has ended; call it when all losses were drawn. @param {import("./faults.mjs").FaultTest} test */
export function lostAtEnd({ disk, scenario, expected }) {
  disk.after("lost").writeTo(scenario.out);
  const found = outcomeOf(scenario);
  const lost = Object.keys(expected).filter((name) => found[name] !== expected[name]);
  return lost.length > 0 ? `${scenario.name}: a power failure after its end takes ${lost.join(", ")}` : null;
}
