/** The files of a finished run, as far as studio reads them. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

/** A line of the log of events; F1 where the epoch was evaluated. */
export const epochLine = (stage: 1 | 2, number: number, loss: number, f1: number | null = null) =>
  `${JSON.stringify({
    ...{ type: "epoch", fold: 1, stage, epoch: number, epochs: 4, seconds: 30, lr: 0.001, improved: true },
    scores: f1 === null ? null : { f1 },
    train: { total_loss: loss },
    validation: { total_loss: loss + 0.25 },
  })}\n`;

export interface Scored {
  f1: number;
  f1Before: number;
  heldOut: number;
}

/** Writes a run of four training images into the folder of runs. */
export async function writeRun(root: string, name: string, { f1, f1Before, heldOut }: Scored): Promise<void> {
  const write = async (path: string, text: string) => {
    await mkdir(dirname(join(root, name, path)), { recursive: true });
    await writeFile(join(root, name, path), text);
  };
  const scores = (value: number) => ({ f1: value, ap50: value, mean_ap: value, pq: value, mean_prompt_iou: value });
  const images = [0.1, 0.2, 0.3].map((more, i) => ({ image: `${i}.png`, fold: 1, ...scores(f1 - more) }));
  const result = { fold: 1, train_images: 4, val_images: heldOut, evaluation: scores(f1) };
  await write("logs/events.jsonl", epochLine(1, 1, 3) + epochLine(1, 2, 2, 0.55) + epochLine(2, 1, 0.5));
  await write("logs/experiment.log", `started <b>${name}</b>\n`);
  await write("resume/run.json", JSON.stringify({ status: "finished" }));
  await write("results/individual_results.json", JSON.stringify([result]));
  await write("results/preeval_results.json", JSON.stringify(scores(f1Before)));
  await write("results/per_image.json", JSON.stringify(images));
  await write("results/report.html", "<title>report</title>");
  // It was to have more epochs, and ended early.
  const stage = { total_epochs: 50 };
  await write("experiment_config.json", JSON.stringify({ name, stages: [1, 2], stage1_config: stage, stage2_config: stage }));
}
