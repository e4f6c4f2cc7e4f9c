/** The disks that a power failure can leave at every telling operation of a command (disk.mjs), and what comes of them. */
import { afterwards, outcomeOf } from "./scenario.mjs";

const { Random } = await import("../../dist/data/random.js");

/**
 * Every different disk, with the place and the kind of the loss. `drawn`: so many with a loss by chance at each place.
 * @param {import("./faults.mjs").FaultTest} test of which this uses up the disk
 * @param {{ drawn?: number, places?: readonly number[] }} [how]
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
 * @param {{ place: string, remains: ReturnType<import("./disk.mjs").Disk["after"]> }} loss
 */
export async function tryDisk({ cellsam, scenario, expected }, { place, remains }) {
  remains.writeTo(scenario.out);
  const { refused, problem } = await afterwards(cellsam, scenario, expected, { mayRefuse: true });
  return { refused, problem: problem && `${place}: ${problem}` };
}

/** What of the outcome a power failure takes after the command has ended; call it when all losses were drawn. @param {import("./faults.mjs").FaultTest} test */
export function lostAtEnd({ disk, scenario, expected }) {
  disk.after("lost").writeTo(scenario.out);
  const found = outcomeOf(scenario);
  const lost = Object.keys(expected).filter((name) => found[name] !== expected[name]);
  return lost.length > 0 ? `${scenario.name}: a power failure after its end takes ${lost.join(", ")}` : null;
}
