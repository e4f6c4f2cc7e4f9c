/** `cellsam setup`: fetches libtorch once, for all projects of this user. */
import { Command, Option } from "commander";
import { driverInfo } from "../engine/native.js";
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
      const { variant: named, json, ...options } = flags;
      const variant = named === "auto" ? chooseVariant(cudaOfDriver()) : named;
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

/** The CUDA version of the driver; null without a driver, and in a checkout that is not built yet. */
function cudaOfDriver(): string | null {
  try {
    return driverInfo()?.cuda ?? null;
  } catch {
    return null;
  }
}
