/** `cellsam report`: writes the report of an experiment or of a search again, also of one that is still running. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { writeExperimentReport, writeSearchReport } from "../entry.js";
import { strictJson } from "../files/json.js";

export function reportCommand(): Command {
  return new Command("report")
    .description("write the report of an experiment (results/report.html) or of a search (report.html)")
    .argument("<folder>", "folder of the experiment or search, finished or running")
    .option("--json", "print one JSON document on stdout")
    .option("--debug", "print the stack of errors")
    .action(async (folder: string, flags: { json?: boolean }) => {
      const { searchFile } = await import("../report/searchReport.js");
      const path = await (existsSync(join(folder, searchFile)) ? writeSearchReport(folder) : writeExperimentReport(folder));
      process.stdout.write(flags.json ? `${strictJson({ type: "report", path }, 0)}\n` : `${path}\n`);
    });
}
