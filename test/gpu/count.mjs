/**
 * Counts what a training step or a prediction asks of a GPU, on the pretend device. By hand:
 *
 *   node test/gpu/count.mjs '{"store": FOLDER, "stage": 2, "options": {"cudaGraphs": true}}'
 *   node test/gpu/count.mjs '{"image": FILE}' --places
 *
 * prints the counts of a steady step or image, its operators (with --places each place by itself) and its waits; work_child.mjs says
 * what the work may be, and data.ts makes such a store.
 */
import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { pretendEnvironment, pretendKernels, readReport } from "./pretend.mjs";

/** @import { Counts, PretendReport } from "./pretend.mjs" */

/**
 * @param {Record<string, unknown>} work
 * @param {Record<string, string>} settings of the device
 * @returns {Promise<{ report: PretendReport; hazards: string[]; output: any[] }>} `output`: the child's, a value a line
 */
export async function countWork(work, settings = {}) {
  const folder = mkdtempSync(join(tmpdir(), "cellsam-counted-"));
  try {
    const path = join(folder, "report");
    const child = [join(import.meta.dirname, "work_child.mjs"), JSON.stringify(work)];
    const env = { ...process.env, ...pretendEnvironment({ FAKE_CUDA_REPORT: path, ...settings }) };
    const { stdout } = await promisify(execFile)(process.execPath, child, { env });
    const { hazards, processes } = readReport(path);
    const [report] = processes;
    if (!report) throw new Error("the process has not reported");
    return {
      report,
      hazards,
      output: stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * The middle step of the last of three epochs, or the second of two predictions: nothing is made for the first time there.
 * @param {PretendReport} report
 * @returns {Counts}
 */
export function steadySpan({ spans }) {
  const steps = spans.filter(({ what }) => what === "step");
  const span = steps.length > 0 ? steps[7] : spans.at(-1);
  if (!span) throw new Error("too little was done to count");
  return span;
}

/**
 * Names for library+offset, where binutils knows them.
 * @param {string} text
 */
function withNames(text) {
  return text.replace(/(libcellsam_\w+-[\d.]+\.so)\+(0x[0-9a-f]+)/g, (place, library, offset) => {
    if (!pretendKernels) return place;
    const file = join(pretendKernels, "..", library);
    const [name = place] = execFileSync("addr2line", ["-Cfe", file, offset], { encoding: "utf8" }).split("\n");
    return name.replaceAll("(anonymous namespace)::", "").replace(/\(.*/, "").replaceAll("cellsam::", "");
  });
}

if (process.argv[1] && basename(process.argv[1]) === "count.mjs") {
  const [work = "{}", flag] = process.argv.slice(2);
  const { report, hazards, output } = await countWork(JSON.parse(work), flag === "--places" ? { FAKE_CUDA_PLACES: "1" } : {});
  const { operators = {}, waitsFor = {}, ...counts } = steadySpan(report);
  console.log(output, counts);
  for (const [what, tally] of Object.entries({ operator: operators, wait: waitsFor, note: report.notes })) {
    const sorted = Object.entries(tally).sort(([, a], [, b]) => b - a);
    for (const [name, n] of sorted) console.log(`${what.padEnd(9)}${String(n).padStart(6)}  ${withNames(name)}`);
  }
  for (const hazard of hazards) console.log(`HAZARD   ${withNames(hazard)}`);
}
