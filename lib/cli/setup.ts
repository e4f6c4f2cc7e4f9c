/** `cellsam setup`: fetches libtorch once, for all projects of this user. */
import { Command, Option } from "commander";
import { type DriverInfo, driverInfo } from "../engine/native.js";
import type { SetupOptions } from "../runtime/setup.js";
import { libtorchVersionPinned, type Variant, variants } from "../runtime/variants.js";

type SetupFlags = Pick<SetupOptions, "torch" | "from" | "sha256" | "headers" | "force"> & {
  variant: Variant | "auto";
  json?: boolean;
};

export function setupCommand(): Command {
  return new Command("setup")
    .description("fetch libtorch, from PyTorch's archive or through pip, into the user's cache")
    .addOption(
      new Option("--variant <name>", "build of libtorch; auto looks at the GPUs and their driver")
        .choices(["auto", ...variants])
        .default("auto"),
    )
    .option("--torch <version>", `version A.B.C of torch (default: ${libtorchVersionPinned})`)
    .option("--from <source>", "take it from this URL, libtorch zip, torch wheel or folder")
    .option("--sha256 <hex>", "expected checksum of the file that --from names, or of PyTorch's archive")
    .option("--headers", "keep the headers too, to build the engine from source")
    .option("--force", "replace what is there")
    .option("--json", "print the result as JSON")
    .action(async (flags: SetupFlags) => {
      const { setupLibtorch } = await import("../runtime/setup.js");
      const { variant: named, json, ...options } = flags;
      const variant = named === "auto" ? await variantOfMachine(flags) : named;
      const result = await setupLibtorch({
        ...options,
        variant,
        onProgress: (text) => process.stderr.write(`${text}\n`),
      });
      if (json) process.stdout.write(`${JSON.stringify(result)}\n`);
      else
        process.stdout.write(
          `libtorch ${result.version} (${result.variant}), ${Math.round(result.bytes / 1e6)} MB: ${result.path}` +
            `${result.fetched ? "" : " (was there already)"}\n`,
        );
    });
}

/** The build that suits the driver and the GPUs; says on stderr which GPUs it leaves out. */
async function variantOfMachine({ torch }: SetupFlags): Promise<Variant> {
  const { chooseVariant } = await import("../runtime/gpuSupport.js");
  const { variant, advice } = chooseVariant(driver(), torch ? { torch } : {});
  if (advice) process.stderr.write(`note: ${advice}\n`);
  return variant;
}

/** null without a driver, and in a checkout that is not built yet. */
function driver(): DriverInfo | null {
  try {
    return driverInfo();
  } catch {
    return null;
  }
}
