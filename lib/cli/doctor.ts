/** `cellsam doctor`: prints what was found and what to do. Exit code 3 when something is missing. */
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";

const library = dirname(dirname(fileURLToPath(import.meta.url)));

export function doctorCommand(): Command {
  return new Command("doctor")
    .description("check this installation: node, libtorch, engine, steps of both stages on each GPU")
    .option("--json", "print the diagnosis as JSON")
    .action(async (flags: { json?: boolean }) => {
      const { diagnose } = await import("../runtime/doctor.js");
      const diagnosis = await diagnose({
        packageRoot: dirname(library),
        probe: fileURLToPath(new URL("./doctorProbe.js", import.meta.url)),
      });
      if (flags.json) process.stdout.write(`${JSON.stringify(diagnosis, null, 2)}\n`);
      else
        for (const check of diagnosis.checks) {
          process.stdout.write(`${check.ok ? "ok  " : "FAIL"} ${check.name.padEnd(10)} ${check.found}\n`);
          if (check.mend) process.stdout.write(`     -> ${check.mend}\n`);
        }
      if (!diagnosis.ok) process.exitCode = 3;
    });
}
