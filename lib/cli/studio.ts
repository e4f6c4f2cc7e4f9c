/** `cellsam studio`: a folder of images in a browser: look, correct, train, again. */
import { existsSync } from "node:fs";
import { constants, hostname } from "node:os";
import { join, resolve } from "node:path";
import { Command } from "commander";
import { strictJson } from "../files/json.js";
import { integerFlag } from "./flags.js";
import { addReadingFlags, type ModelFlags, modelConfig } from "./modelFlags.js";
import { hostHelp, type PlaceFlags, portHelp } from "./placeFlags.js";

interface StudioFlags extends PlaceFlags, Omit<ModelFlags, "experiment" | "weights"> {
  masks?: string;
  model: string;
  out?: string;
  json?: boolean;
}

export function studioCommand(): Command {
  const command = new Command("studio")
    .description("look at images in a browser, correct their cells, train on the corrections, again")
    .argument("<data>", "folder of images")
    .option("--masks <folder>", "your own masks or annotations to begin with; they are never changed")
    .option("--model <model>", "weights (.pth, .safetensors or cellsam-tiny), or the folder of an experiment", "cellsam-tiny")
    .option("-o, --out <folder>", "folder for corrections, predictions and runs (default: DATA-studio beside DATA)");
  return addReadingFlags(command)
    .option("--host <address>", hostHelp, "127.0.0.1")
    .option("--port <n>", portHelp, integerFlag, 0)
    .option("--json", "print the address as one JSON line")
    .option("--debug", "print the stack of errors")
    .action(async (data: string, flags: StudioFlags) => {
      const { serveStudio } = await import("../studio/serve.js");
      const { openEngineModel } = await import("../studio/engineModel.js");
      const { masks = null, out = `${resolve(data)}-studio` } = flags;
      const settings = await modelConfig({ ...flags, ...modelOf(flags.model) });
      const served = await serveStudio({ data, masks, out, settings, openModel: openEngineModel }, flags);
      for (const note of served.notes) process.stderr.write(`${note}\n`);
      const stopped = signalled(); // whoever reads the address may stop it
      announce(served.address, flags);
      await stopped;
      await served.close();
    });
}

function modelOf(model: string): Pick<ModelFlags, "experiment" | "weights"> {
  return existsSync(join(model, "experiment_config.json")) ? { experiment: model } : { weights: model };
}

/** Prints the address, and how a browser elsewhere gets to it. */
function announce(address: string, { host, json }: PlaceFlags & { json?: boolean }): void {
  if (json) {
    process.stdout.write(`${strictJson({ type: "address", address }, 0)}\n`);
    return;
  }
  const { port } = new URL(address);
  const tunnel =
    host === "127.0.0.1"
      ? `From another machine: ssh -L ${port}:127.0.0.1:${port} ${hostname()}, then the same address there.\n`
      : "";
  process.stdout.write(`\n  ${address}\n\nOpen it in a browser; Ctrl-C ends.\n${tunnel}`);
}

/** Waits for a signal; a second one ends the process at once. */
function signalled(): Promise<void> {
  const names = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  return new Promise((done) => {
    let asked = false;
    for (const name of names) {
      process.on(name, () => {
        if (asked) process.exit(128 + constants.signals[name]);
        asked = true;
        done();
      });
    }
  });
}
