#!/usr/bin/env node
/** The command line: a table of commands, and one place where every error becomes a message and an exit code. */
import { Command } from "commander";
import { packageVersion } from "../version.js";
import { compareCommand } from "./compare.js";
import { doctorCommand } from "./doctor.js";
import { evaluateCommand } from "./evaluate.js";
import { exitCodeOf, reportError } from "./exit.js";
import { finetuneCommand } from "./finetune.js";
import { initCommand } from "./init.js";
import { planCommand } from "./plan.js";
import { predictCommand } from "./predict.js";
import { reportCommand } from "./report.js";
import { schemaCommand } from "./schema.js";
import { searchCommand } from "./search.js";
import { setupCommand } from "./setup.js";
import { trainCommand } from "./train.js";

const commands = [
  trainCommand,
  finetuneCommand,
  searchCommand,
  predictCommand,
  evaluateCommand,
  compareCommand,
  reportCommand,
  setupCommand,
  initCommand,
  planCommand,
  schemaCommand,
  doctorCommand,
];

const program = new Command("cellsam")
  .description("Fine-tune CellSAM on microscopy images")
  .version(packageVersion)
  .exitOverride()
  .showHelpAfterError("(--help lists commands and options)");
for (const make of commands) program.addCommand(make().copyInheritedSettings(program));

// A reader that closes the pipe early, as `head` does, is not an error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  const given = (flag: string) => process.argv.includes(flag);
  reportError(error, { json: given("--json"), debug: given("--debug") });
  process.exitCode = exitCodeOf(error);
}
