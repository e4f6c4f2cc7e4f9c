/** `cellsam setup`: fetches libtorch once, for all projects of this user. */
import { Command, Option } from "commander";
import { driverInfo } from "../engine/native.js";
import { libtorchVersionPinned, type Variant, variants } from "../runtime/variants.js";

interface SetupFlags {
  variant: Variant | "auto";
  torch?: string;
  from?: string;
  sha256?: string;
  headers?: boolean;
  force?: boolean;
  json?: boolean;
}

export function setupCommand(): Command {
  return new Command("setup")
    .description("fetch libtorch, from PyTorch's archive or through pip, into the user's cache")
    .addOption(
      new Option("--variant <name>", "build of libtorch; auto looks at the GPU driver")
        .choices(["auto", ...variants])
        .default("auto"),
    )
    .option("--torch <version>", `version A.B.C of torch (default: ${libtorchVersionPinned})`)
    .option("--from <source>", "take it from this URL, libtorch zip, torch wheel or folder")
    .option("--sha256 <hex>", "expected checksum of the file that --from names")
    .option("--headers", "keep the headers too, to build the engine from source")
    .option("--force", "replace what is there")
    .option("--json", "print the result as JSON")
    .action(async (flags: SetupFlags) => {
      const { chooseVariant, setupLibtorch } = await import("../runtime/setup.js");
      const variant = flags.variant === "auto" ? chooseVariant(cudaOfDriver()) : flags.variant;
      const result = await setupLibtorch({
        variant,
        ...(flags.torch === undefined ? {} : { torch: flags.torch }),
        ...(flags.from === undefined ? {} : { from: flags.from }),
        ...(flags.sha256 === undefined ? {} : { sha256: flags.sha256 }),
        ...(flags.headers === undefined ? {} : { headers: flags.headers }),
        ...(flags.force === undefined ? {} : { force: flags.force }),
        onProgress: (text) => process.stderr.write(`${text}\n`),
      });
      if (flags.json) process.stdout.write(`${JSON.stringify(result)}\n`);
      else
        process.stdout.write(
          `libtorch ${result.version} (${result.variant}), ${Math.round(result.bytes / 1e6)} MB: ${result.path}` +
            `${result.fetched ? "" : " (was there already)"}\n`,
        );
    });
}

/** Null without a driver, and in a checkout whose binding is not built yet. */
function cudaOfDriver(): string | null {
  try {
    return driverInfo()?.cuda ?? null;
  } catch {
    return null;
  }
}
