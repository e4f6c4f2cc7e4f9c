/** `cellsam evaluate`: compares predictions, or the predictions of a model, with true masks. */
import { existsSync } from "node:fs";
import { Command, InvalidArgumentError } from "commander";
import { applySettings } from "../config/applySettings.js";
import { truthSchema } from "../config/inference.js";
import type { RawConfig } from "../config/load.js";
import { parseConfig } from "../config/parse.js";
import { evaluateFolders, evaluateShard, evaluateWeights } from "../entry.js";
import { CellsamError } from "../errors.js";
import type { FolderEvaluation } from "../evaluation/folders.js";
import type { Evaluation } from "../evaluation/model.js";
import { type OptimizableMetric, optimizableMetric } from "../evaluation/thresholds.js";
import { strictJson, writeJson } from "../files/json.js";
import { checkOutputFile } from "../files/outputPath.js";
import { Parts } from "../files/parts.js";
import type { Shard } from "../predict/shard.js";
import { toSnake } from "../spelling.js";
import { given, integerFlag, numberFlag, shardFlag, shardHelp } from "./flags.js";
import { addModelFlags, type ModelFlags, modelConfig } from "./modelFlags.js";
import { Progress } from "./progress.js";
import { reliabilityTable, summaryTable, thresholdTable } from "./table.js";

interface EvaluateFlags extends ModelFlags {
  masks: string;
  predictions?: string;
  images?: string;
  binaryMasks?: boolean;
  ignoreLabel?: number;
  out?: string;
  overwrite?: boolean;
  resume?: boolean;
  shard?: Shard;
  optimizeThreshold?: OptimizableMetric[];
  keepGoing?: boolean;
  iouThreshold?: number;
  boundaryTolerance?: number;
  json?: boolean;
}

function metricFlag(text: string, before: OptimizableMetric[] = []): OptimizableMetric[] {
  try {
    return [...before, optimizableMetric(text)];
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

export function evaluateCommand(): Command {
  const command = new Command("evaluate")
    .description("compare predictions, given or made by a model, with true masks")
    .requiredOption("--masks <path>", "true label masks")
    .option("--predictions <path>", "predicted label images")
    .option("--images <path>", "images for a model to predict, with --experiment or --weights")
    .option("--binary-masks", "the true masks are foreground masks")
    .option("--ignore-label <value>", "value of the true masks for pixels that are neither cell nor background", integerFlag)
    .option("-o, --out <file>", "write the metrics, per image and over all, as JSON")
    .option("--overwrite", "replace the --out file if it exists")
    .option("--optimize-threshold <metric>", "also find the best detection threshold: f1, dice or ap50; repeatable", metricFlag)
    .option("--iou-threshold <number>", "IoU above which a cell is found in DeepCell's counts (0.5)", numberFlag)
    .option("--boundary-tolerance <pixels>", "of the boundary F1 (2)", numberFlag)
    .option("--keep-going", "list images that fail instead of stopping at the first")
    .option("--resume", "keep each image's measures in FILE.parts, and those that are there: goes on after an interruption")
    .option("--shard <i/n>", shardHelp, shardFlag)
    .option("--json", "print one JSON document on stdout")
    .option("--debug", "print the stack of errors");
  return addModelFlags(command).action(async (flags: EvaluateFlags) => {
    const { masks, predictions, images, binaryMasks = false } = flags;
    if ((predictions === undefined) === (images === undefined)) {
      throw new CellsamError("ERR_CONFIG", "give either --predictions, or --images with a model");
    }
    const parts = flags.shard || flags.resume ? evaluationParts(flags.out) : null;
    if (flags.out) await checkOutputFile("--out", flags.out);
    if (flags.resume && flags.out && existsSync(flags.out) && !flags.overwrite && !(await parts?.plan())) {
      process.stderr.write(`${flags.out} is there already: everything is measured\n`);
      return;
    }
    refuseExisting(flags);
    if (predictions && (flags.optimizeThreshold || flags.keepGoing || parts)) {
      throw new CellsamError(
        "ERR_CONFIG",
        "--optimize-threshold, --keep-going, --resume and --shard need --images and a model: label images are made at one threshold",
      );
    }
    const model = (["experiment", "config", "weights", "size", "device", "precision"] as const).filter(
      (flag) => flags[flag] !== undefined,
    );
    if (predictions && model.length > 0) {
      const message = `${model.map((flag) => `--${flag}`).join(", ")} needs --images: predictions are compared without a model`;
      throw new CellsamError("ERR_CONFIG", message);
    }
    const progress = new Progress({ epochs: { 1: 0, 2: 0 } });
    const options = {
      binaryMasks,
      onProgress: progress.show.bind(progress),
      onWarning: (message: string) => progress.show({ type: "notice", level: "warning", message }),
    };
    const measures = given({ iouThreshold: flags.iouThreshold, boundaryTolerance: flags.boundaryTolerance });
    const reading = given({ ignoreLabel: flags.ignoreLabel });
    const ofFolders = async () => {
      const settings: RawConfig = {};
      applySettings(settings, flags.set ?? []);
      const truth = { ...(binaryMasks && { binaryMasks }), ...settings, ...reading, ...measures };
      return evaluateFolders(masks, predictions as string, { ...options, ...parseConfig("evaluation", truthSchema(), truth) });
    };
    const ofModel = async () => {
      const config = { ...(await modelConfig(flags)), ...reading };
      const tuned = { optimizeThreshold: flags.optimizeThreshold ?? false, keepGoing: flags.keepGoing ?? false };
      const evaluation = { ...config.evaluation, ...measures };
      const input = { ...config, evaluation };
      if (!parts) return evaluateWeights(images as string, masks, input, { ...options, ...tuned });
      const share = given({ shard: flags.shard, resume: flags.resume });
      return evaluateShard(images as string, masks, input, { ...options, ...tuned, ...share, partsDir: parts.folder });
    };
    const work: Promise<FolderEvaluation | Evaluation | null> = predictions ? ofFolders() : ofModel();
    const evaluation = await work.finally(() => progress.finish());
    if (evaluation) {
      await finishEvaluation(evaluation, flags);
      await parts?.remove();
    } else {
      const { index, count } = flags.shard as Shard;
      process.stdout.write(`shard ${index} of ${count} is done; the last one sums up, or \`cellsam merge ${flags.out}\`\n`);
    }
  });
}

/** What the shards of an evaluation have measured, in a folder beside its --out file. */
export function evaluationParts(out: string | undefined) {
  if (!out) throw new CellsamError("ERR_CONFIG", "--resume and --shard need --out: what is measured is kept beside that file");
  return new Parts(`${out}.parts`);
}

/** @throws CellsamError ERR_OUTPUT_EXISTS for a file that may not be replaced */
function refuseExisting({ out, overwrite }: Pick<EvaluateFlags, "out" | "overwrite">): void {
  if (!out || overwrite || !existsSync(out)) return;
  throw new CellsamError("ERR_OUTPUT_EXISTS", `${out} exists already; use --overwrite to replace it`, {
    detail: { path: out },
  });
}

/** Writes and prints an evaluation. */
export async function finishEvaluation(
  evaluation: FolderEvaluation | Evaluation,
  flags: Pick<EvaluateFlags, "out" | "json" | "overwrite">,
): Promise<void> {
  const { out, json } = flags;
  refuseExisting(flags);
  const { optimalThresholds } = await import("../evaluation/model.js");
  const best = "best" in evaluation ? { optimalThresholds: optimalThresholds(evaluation) } : {};
  const document = toSnake({ ...evaluation, ...best });
  if (out) await writeJson(out, document);
  process.stdout.write(json ? `${strictJson(document)}\n` : `${tables(evaluation)}\n`);
}

function tables(evaluation: FolderEvaluation | Evaluation): string {
  const lines = [`${evaluation.images.length} images`, summaryTable(evaluation.summary)];
  const { reliability } = evaluation.summary;
  if (reliability?.calibrationError != null)
    lines.push("do scores say how sure a finding is? its score, and how often it is a cell:", reliabilityTable(reliability));
  if ("best" in evaluation && evaluation.best) {
    lines.push(
      "best detection thresholds on these images; to use one of them (T) on others:",
      "  --set inference.bbox_threshold=T --set inference.adaptive_threshold=false",
      thresholdTable(evaluation.best),
    );
  }
  for (const { message, code } of "failures" in evaluation ? (evaluation.failures ?? []) : [])
    lines.push(`failed: ${message} (${code})`);
  return lines.join("\n");
}
