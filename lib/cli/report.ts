/** `cellsam report`: writes results/report.html of an experiment again, also of one that is still running. */
import { Command } from "commander";
import { strictJson } from "../monitor/json.js";
import { writeExperimentReport } from "../report/experimentReport.js";

export function reportCommand(): Command {
  return new Command("report")
    .description("write results/report.html of an experiment, finished or running")
    .argument("<folder>", "folder of the experiment")
    .option("--json", "print one JSON document on stdout")
    .option("--debug", "print the stack of errors")
    .action(async (folder: string, flags: { json?: boolean }) => {
      const path = await writeExperimentReport(folder);
      process.stdout.write(flags.json ? `${strictJson({ type: "report", path }, 0)}\n` : `${path}\n`);
    });
}
