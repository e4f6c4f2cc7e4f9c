/** Commands on files of which one bit has changed: an error with a code, or what they do with sound files. */
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterwards, outcomeOf, reset } from "./scenario.mjs";

const { Random } = await import("../../dist/data/random.js");

/** @typedef {import("./cellsam.mjs").Cellsam} Cellsam */
/** @typedef {import("./scenario.mjs").Scenario} Scenario of which `first` is not used */

export class FlipTest {
  /** Runs the command on sound files. @param {Cellsam} cellsam @param {Scenario} scenario */
  static async of(cellsam, scenario) {
    reset(scenario);
    const isFile = (/** @type {string} */ name) => statSync(join(scenario.out, name)).isFile();
    const names = readdirSync(scenario.out, { recursive: true }).map(String).filter(isFile);
    const files = names.filter((name) => statSync(join(scenario.out, name)).size > 0).sort();
    const end = await cellsam.run(scenario.again);
    if (end.code !== 0) throw new Error(`${scenario.name} fails with sound files: ${end.stderr}`);
    return new FlipTest(cellsam, scenario, files);
  }

  /** @private @param {Cellsam} cellsam @param {Scenario} scenario @param {string[]} files */
  constructor(cellsam, scenario, files) {
    this.cellsam = cellsam;
    this.scenario = scenario;
    this.files = files;
    this.expected = outcomeOf(scenario);
    if (Object.keys(this.expected).length === 0) throw new Error(`${scenario.name} has no outcome`);
  }

  /** Flips one bit of a file, drawn by `number`, and runs the command. @param {string} file @param {number} number */
  async tryFlip(file, number) {
    const { cellsam, scenario, expected } = this;
    reset(scenario);
    const path = join(scenario.out, file);
    const bytes = readFileSync(path);
    const bit = new Random(number).integer(0, 8 * bytes.length - 1);
    bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    writeFileSync(path, bytes);
    const flipped = outcomeOf(scenario)[file];
    // A file that the command left as it was is none of its results.
    const spares = (/** @type {string} */ name, /** @type {string | undefined} */ hash) => name === file && hash === flipped;
    const { refused, problem } = await afterwards(cellsam, scenario, expected, { mayRefuse: true, spares });
    return { refused, problem: problem && `${scenario.name}, ${file}, bit ${bit} of ${8 * bytes.length}: ${problem}` };
  }
}
