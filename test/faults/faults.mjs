/** A command of cellsam again and again, with a fault at another operation on its files each time. */
import { Disk } from "./disk.mjs";
import { afterwards, outcomeOf, reset, wrongReport } from "./scenario.mjs";
import { tellingPlaces } from "./trace.mjs";

/** @typedef {import("./cellsam.mjs").Cellsam} Cellsam */
/** @typedef {import("./scenario.mjs").Scenario} Scenario */

/** What is known of the undisturbed command. */
export class FaultTest {
  /** @param {Cellsam} cellsam @param {Scenario} scenario */
  static async of(cellsam, scenario) {
    reset(scenario);
    const disk = new Disk(scenario.out);
    const end = await cellsam.run(scenario.first, { mode: "trace" });
    cellsam.end(); // a lock that a power failure leaves is that of a dead process
    if (end.code !== 0) throw new Error(`${scenario.name} fails without a fault: ${end.stderr}`);
    return new FaultTest(cellsam, scenario, disk);
  }

  /** @private @param {Cellsam} cellsam @param {Scenario} scenario @param {Disk} disk */
  constructor(cellsam, scenario, disk) {
    this.cellsam = cellsam;
    this.scenario = scenario;
    /** The disk before the command; Disk.apply brings it on. */
    this.disk = disk;
    this.operations = cellsam.takeTrace();
    /** How many operations it began. */
    this.count = cellsam.operations;
    this.places = tellingPlaces(this.operations);
    this.expected = outcomeOf(scenario);
    if (Object.keys(this.expected).length === 0) throw new Error(`${scenario.name} has no outcome`);
  }

  /**
   * What was wrong with the end after a fault at operation `at`; null when nothing was.
   * @param {"kill" | "full" | "full-once"} mode
   * @param {number} at
   */
  async tryAt(mode, at) {
    const { cellsam, scenario, expected } = this;
    const place = `${scenario.name}, ${mode} at operation ${at} of ${this.count}`;
    reset(scenario);
    const end = await cellsam.run(scenario.first, { mode, at });
    const wrong = mode === "kill" && end.signal === "SIGKILL" ? null : wrongReport(end);
    if (wrong) return `${place}: ${wrong}`;
    const { problem } = await afterwards(cellsam, scenario, expected, { mayRefuse: false });
    return problem && `${place}: ${problem}\nafter: ${end.stderr}`;
  }
}
