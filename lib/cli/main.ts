#!/usr/bin/env node
/** The command line: a table of commands, and one place where every error becomes a message and an exit code. */
import { Command } from "commander";
import { packageVersion } from "../version.js";
import { exitCodeOf, reportError } from "./exit.js";

/** Loaded when they are wanted: `doctor` has no use for what trains. */
const commands: Record<string, () => Promise<Command>> = {
  train: async () => (await import("./train.js")).trainCommand(),
  finetune: async () => (await import("./finetune.js")).finetuneCommand(),
  search: async () => (await import("./search.js")).searchCommand(),
  predict: async () => (await import("./predict.js")).predictCommand(),
  evaluate: async () => (await import("./evaluate.js")).evaluateCommand(),
  compare: async () => (await import("./compare.js")).compareCommand(),
  report: async () => (await import("./report.js")).reportCommand(),
  setup: async () => (await import("./setup.js")).setupCommand(),
  init: async () => (await import("./init.js")).initCommand(),
  plan: async () => (await import("./plan.js")).planCommand(),
  schema: async () => (await import("./schema.js")).schemaCommand(),
  doctor: async () => (await import("./doctor.js")).doctorCommand(),
};

const program = new Command("cellsam")
  .description("Fine-tune CellSAM on microscopy images")
  .version(packageVersion)
  .exitOverride()
  .showHelpAfterError("(--help lists commands and options)");
// The overall help, and the hint at a mistyped command, need them all.
const named = process.argv[2] ?? "";
const wanted = Object.hasOwn(commands, named) ? [named] : named === "--version" ? [] : Object.keys(commands);
for (const name of wanted) {
  const command = await commands[name]?.();
  if (command) program.addCommand(command.copyInheritedSettings(program));
}

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
