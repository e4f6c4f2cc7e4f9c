#!/usr/bin/env node
/** The command line: the table of commands, and the one place where errors become messages and exit codes. */
import { Command, CommanderError } from "commander";
import { packageVersion } from "../version.js";

/** A command is loaded when it is used: `doctor` does not need what trains. */
const commands: Record<string, () => Promise<Command>> = {
  train: async () => (await import("./train.js")).trainCommand(),
  finetune: async () => (await import("./finetune.js")).finetuneCommand(),
  launch: async () => (await import("./launch.js")).launchCommand(),
  worker: async () => (await import("./worker.js")).workerCommand(),
  search: async () => (await import("./search.js")).searchCommand(),
  predict: async () => (await import("./predict.js")).predictCommand(),
  evaluate: async () => (await import("./evaluate.js")).evaluateCommand(),
  merge: async () => (await import("./merge.js")).mergeCommand(),
  compare: async () => (await import("./compare.js")).compareCommand(),
  report: async () => (await import("./report.js")).reportCommand(),
  studio: async () => (await import("./studio.js")).studioCommand(),
  setup: async () => (await import("./setup.js")).setupCommand(),
  init: async () => (await import("./init.js")).initCommand(),
  plan: async () => (await import("./plan.js")).planCommand(),
  schema: async () => (await import("./schema.js")).schemaCommand(),
  slurm: async () => (await import("./batch.js")).slurmCommand(),
  kubernetes: async () => (await import("./batch.js")).kubernetesCommand(),
  doctor: async () => (await import("./doctor.js")).doctorCommand(),
  bench: async () => (await import("./bench.js")).benchCommand(),
};

const program = new Command("cellsam")
  .description("Fine-tune CellSAM on microscopy images")
  .version(packageVersion)
  .enablePositionalOptions() // `launch` passes the flags of its command on
  .exitOverride()
  .showHelpAfterError("(--help lists commands and options)");
// The general help, and the hint for a mistyped command, need all of them.
const named = process.argv[2] ?? "";
const wanted = Object.hasOwn(commands, named) ? [named] : named === "--version" ? [] : Object.keys(commands);
for (const name of wanted) {
  const command = await commands[name]?.();
  if (command) program.addCommand(command.copyInheritedSettings(program));
}

// It is no error of a run when the reader of a pipe closes it early, as `head` does, or when the terminal is closed (EIO).
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE" && error.code !== "EIO") throw error;
  });
}

try {
  await program.parseAsync();
} catch (error) {
  // --version and --help end so too, and need nothing else.
  if (!(error instanceof CommanderError && error.exitCode === 0)) {
    const { exitCodeOf, reportError } = await import("./exit.js");
    const given = (flag: string) => process.argv.includes(flag);
    reportError(error, { json: given("--json"), debug: given("--debug") });
    process.exitCode = exitCodeOf(error);
  }
}
