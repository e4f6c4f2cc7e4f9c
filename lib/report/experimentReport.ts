/** results/report.html of an experiment: one self-contained page, made from the files that the run has written so far. */
import { basename, join, resolve } from "node:path";
import { experimentSchema } from "../config/experiment.js";
import { inFileSpelling } from "../config/fileSpelling.js";
import { writeAtomic } from "../files/writeAtomic.js";
import { toSnake } from "../spelling.js";
import { type Line, lineChart } from "./charts.js";
import { type ExperimentFiles, type Json, type Picture, readExperiment, type StageFiles } from "./experimentFiles.js";
import { details, escapeHtml, figure, number, page, score, section, table } from "./html.js";
import { drawn } from "./imaging.js";

/** Number of pictures in a report, and the width of each in pixels, so that a report has a few megabytes at most. */
const mostPictures = 12;
const pictureWidth = 1200;
const stageNames = { 1: "boxes", 2: "masks" } as const;

const scores: Record<string, string> = {
  ap50: "AP at IoU 0.5",
  mean_ap: "mean AP, IoU 0.5–0.95",
  f1: "F1 at IoU 0.5",
  pq: "panoptic quality",
  mean_prompt_iou: "mask IoU, true boxes as prompts",
};

/**
 * Writes FOLDER/results/report.html and returns its path.
 * @throws CellsamError ERR_CONFIG when the folder holds no experiment
 */
export async function writeExperimentReport(folder: string): Promise<string> {
  const path = join(folder, "results", "report.html");
  await writeAtomic(path, await experimentReport(folder));
  return path;
}

export async function experimentReport(folder: string): Promise<string> {
  const files = await readExperiment(folder);
  const { config } = files;
  const name = String(config.output_name ?? basename(resolve(folder)));
  const body = [
    warnings(files),
    section("scores", "Scores", keyScores(files)),
    section("baseline", "Before and after fine-tuning", baseline(files)),
    section("folds", "Results per fold", foldTable(files)),
    section("losses", "Losses", lossCharts(files.stages)),
    section("pictures", "Best and worst images", await pictureSection(files.pictures)),
    section("test", "Held-out test", testScores(files)),
    section("thresholds", "Thresholds", thresholds(files)),
    section("data", "Data", dataSection(files)),
    section("configuration", "Settings that differ from the defaults", configuration(config)),
    section("environment", "Environment", environment(config)),
  ];
  return page(name, sentence(files), body.filter(Boolean).join("\n"));
}

function record(value: unknown): Json {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? (value as Json) : {};
}

function sentence({ config, results, splits }: ExperimentFiles): string {
  const stages = (config.stages as number[] | undefined) ?? [1, 2];
  const what = stages.map((stage) => stageNames[stage as 1 | 2]).join(" and ");
  const folds = splits.length > 1 ? ` in ${splits.length} folds` : "";
  const start = config.weights ? `starting from ${basename(String(config.weights))}` : "starting from random weights";
  const state =
    results.length >= Math.max(1, splits.length) ? "" : " The run is not finished: this is what it has written so far.";
  return `CellSAM (${config.size ?? "?"}) trained for ${what}, ${start}, with the strategy ${config.strategy ?? "?"}${folds}.${state}`;
}

function warnings({ warnings: messages, results }: ExperimentFiles): string {
  const failed = results
    .filter(({ error }) => error)
    .map(({ fold, error }) => `fold ${fold} failed: ${record(error).message ?? "?"}`);
  const unique = [...new Set([...failed, ...messages])];
  const items = unique.map((message) => `<p class="warning">${escapeHtml(inFileSpelling(message))}</p>`);
  return section(
    "warnings",
    "Warnings of the run",
    items.slice(0, 3).join("") + (items.length > 3 ? details(`${items.length - 3} more`, items.slice(3).join("")) : ""),
  );
}

function keyScores({ results, aggregated, images }: ExperimentFiles): string {
  const measured = String(aggregated.evaluated_on ?? results[0]?.evaluated_on ?? "validation");
  const metrics = record(record(aggregated.aggregated_metrics)[measured]);
  const cards = Object.entries(scores).flatMap(([key, name]) => {
    const entry = record(metrics[key]);
    const value = entry.mean ?? first(results)[key];
    if (typeof value !== "number") return [];
    const range = interval(entry);
    const spread =
      typeof entry.std === "number"
        ? `standard deviation ${number(entry.std)} over ${entry.n ?? results.length} folds`
        : "one training";
    return [
      score(
        name,
        number(value),
        range === "–" ? spread : `95 % interval ${range} (t), ${interval(entry, "ci95_bootstrap")} (bootstrap); ${spread}`,
      ),
    ];
  });
  if (cards.length === 0) return "<p>No fold has been evaluated yet.</p>";
  const what = measured === "training" ? "training images, which says nothing about other images" : "validation images";
  const tuned = isTuned(results) ? ", at the detection threshold that was tuned on them" : "";
  const note = images.length > 0 ? `<p></p><p class="lead">Measured on ${images.length} ${what}${tuned}.</p>` : "";
  return `<div class="scores">${cards.join("")}</div>${note}`;
}

/** Whether a fold has tuned its detection threshold. */
function isTuned(results: readonly Json[]): boolean {
  return results.some(({ tuned_threshold: threshold }) => typeof threshold === "number");
}

/** The evaluation of the first fold that has one. */
function first(results: readonly Json[]): Json {
  return record(results.find(({ evaluation }) => evaluation)?.evaluation);
}

/** Compares with the model before training: tested differences of several folds, plain numbers of one training. */
function baseline({ preeval, results, aggregated }: ExperimentFiles): string {
  const groups = record(aggregated.aggregated_metrics);
  const tested = record(record(aggregated.significance).metrics);
  const untested = Object.keys(tested).length > 0 ? ["–", null, "–"] : [];
  const rows = Object.entries(scores).flatMap(([key, name]) => {
    const test = record(tested[key]);
    const old = record(record(groups.preeval)[key]).mean ?? preeval[0]?.[key];
    const now = record(record(groups[String(aggregated.evaluated_on ?? "validation")])[key]).mean ?? first(results)[key];
    if (typeof old !== "number" || typeof now !== "number") return [];
    const difference = record(test.difference);
    const evidence = typeof test.verdict === "string" ? [interval(difference), test.p_holm ?? null, test.verdict] : untested;
    return [[name, old, now, difference.mean ?? now - old, ...evidence]];
  });
  if (rows.length === 0) return "";
  const head = ["metric", "before", "after", "change"];
  if (Object.keys(tested).length === 0) return table(head, rows) + changeOfImages(record(aggregated.significance_by_image));
  const why =
    '<p class="lead">p: corrected resampled t test (Nadeau and Bengio) over folds, after Holm\'s correction over metrics. There are few folds: look at the interval first.</p>';
  const byFold = table([...head, "95 % interval of the change", "p", "evidence"], rows) + why;
  return byFold + changeOfImages(record(aggregated.significance_by_image));
}

/** How large the change may be, from images that were measured before and after: also one training has several of them. */
function changeOfImages({ metrics, n }: Json): string {
  const rows = Object.entries(scores).flatMap(([key, name]) => {
    const { difference, p_holm: p, verdict } = record(record(metrics)[key]);
    const { mean, n: images } = record(difference);
    if (typeof mean !== "number") return [];
    return [[name, images, mean, interval(record(difference)), p ?? null, verdict]];
  });
  if (rows.length === 0) return "";
  const head = ["metric", "images", "mean change of an image", "95 % interval of that mean", "p", "evidence"];
  const why =
    n === 1
      ? "One image was measured before and after, which allows no interval."
      : "Every image has the same weight here, so the change may differ from that of the scores over all cells. The interval (paired t, each score by itself) holds the sizes of change that fit these images. " +
        "\"Not enough evidence\": chance alone may explain the change, by p of Wilcoxon's signed-rank test after Holm's correction for several scores. That is no proof that there is none.";
  return `<h3>Image by image</h3>${table(head, rows)}<p class="lead">${escapeHtml(why)}</p>`;
}

/** "0.127 to 0.187" */
function interval(entry: Json, key = "ci95_t"): string {
  const [low, high] = Array.isArray(entry[key]) ? entry[key] : [];
  return typeof low === "number" && typeof high === "number" ? `${number(low)} to ${number(high)}` : "–";
}

function foldTable({ results }: ExperimentFiles): string {
  if (results.length === 0) return "";
  const epochs = (stage: unknown) =>
    stage
      ? `${record(stage).best_epoch} of ${record(stage).final_epoch}${record(stage).stopped_early ? ", stopped early" : ""}`
      : "–";
  const rows = results.map((result) => {
    const evaluation = record(result.evaluation);
    const state = result.error ? "failed" : "done";
    return [
      String(result.fold),
      state,
      result.train_images ?? null,
      result.val_images ?? null,
      epochs(result.stage1),
      epochs(result.stage2),
      ...Object.keys(scores).map((key) => (evaluation[key] as number | null) ?? null),
    ];
  });
  return table(
    [
      "fold",
      "state",
      "training images",
      "validation images",
      "epoch of the model, boxes",
      "epoch of the model, masks",
      ...Object.values(scores),
    ],
    rows,
    (row) => Boolean(results[row]?.error),
  );
}

function lossCharts(all: readonly StageFiles[]): string {
  const blocks = ([1, 2] as const).map((stage) => {
    const folds = all.filter((entry) => entry.stage === stage);
    if (folds.length === 0) return "";
    const single = folds.length === 1;
    const lines = folds.flatMap(({ fold, train, val, bestEpoch }): Line[] => {
      const name = (side: string) => (single ? side : `fold ${fold}, ${side}`);
      const group = (side: string) => (single ? side : String(fold));
      const sides: Line[] = [
        {
          name: name("training"),
          values: train.total_loss ?? [],
          group: group("training"),
          dashed: val.total_loss !== undefined,
        },
      ];
      if (val.total_loss)
        sides.push({ name: name("validation"), values: val.total_loss, group: group("validation"), best: bestEpoch });
      return sides;
    });
    const parts = folds.map(({ fold, train, val }) => {
      const [side, history] = val.total_loss ? ["validation", val] : ["training", train];
      const components = Object.entries(history).filter(
        ([name, values]) => name !== "total_loss" && values.some((v) => v !== null && v > 0),
      );
      if (components.length === 0) return "";
      const svg = lineChart({
        lines: components.map(([name, values]) => ({ name: name.replaceAll("_", " "), values })),
        log: true,
      });
      return figure(svg, `Parts of the ${side} loss, each with its weight${single ? "" : `, fold ${fold}`}.`);
    });
    const [first = "", ...others] = parts;
    const more =
      others.length > 0 ? details("Loss parts of the other folds", `<div class="charts">${others.join("")}</div>`) : "";
    const total = figure(
      lineChart({ lines }),
      "Loss after each epoch. Solid: validation, on images that do not train. Dashed: training.",
    );
    return `<h3>Stage ${stage}: ${stageNames[stage]}</h3><div class="charts">${total}${first}</div>${more}`;
  });
  return blocks.join("");
}

async function pictureSection(pictures: readonly Picture[]): Promise<string> {
  const shown = [...pictures].sort((a, b) => Number(a.name.slice(0, 4) > b.name.slice(0, 4)) || a.fold - b.fold);
  const several = new Set(pictures.map(({ fold }) => fold)).size > 1;
  const perEnd = mostPictures / 2;
  const chosen = ["best", "worst"].flatMap((end) => shown.filter(({ name }) => name.startsWith(end)).slice(0, perEnd));
  const figures = await Promise.all(
    chosen.map(async ({ path, name, fold }) => {
      const [, end, rank, image] = /^(best|worst)_(\d+)_(.*)\.png$/.exec(name) ?? [];
      const small = await drawn({ kind: "thumbnail", path, width: pictureWidth }).catch(() => null);
      // A report without one of its pictures is better than none.
      if (!small) return "";
      const alt = `image ${image}; truth in green; prediction in red`;
      const caption = `${image}: number ${rank} of the ${end}${several ? `, fold ${fold}` : ""}`;
      return figure(`<img alt="${escapeHtml(alt)}" src="data:image/webp;base64,${small.toString("base64")}">`, caption);
    }),
  );
  if (figures.length === 0) return "";
  return `<p class="lead">Each strip: the image, the true cells (green), the predicted cells (red). Ranked by AP at IoU 0.5.</p>${figures.join("")}`;
}

function thresholds({ results }: ExperimentFiles): string {
  const tried = { best_f1: "F1", best_dice: "Dice", best_ap50: "AP at IoU 0.5", evaluation_as_configured: "(as configured)" };
  const rows = results.flatMap((result) =>
    Object.entries(tried).flatMap(([key, name]) => {
      const at = record(result[key]);
      if (typeof at.f1 !== "number") return [];
      const shown = ["threshold", "precision", "recall", "f1", "dice", "ap50"].map((score) => (at[score] as number) ?? null);
      return [[String(result.fold), name, ...shown]];
    }),
  );
  if (rows.length === 0) return "";
  const head = ["fold", "chosen for", "box threshold", "precision", "recall", "F1", "Dice", "AP at .5"];
  const used = isTuned(results)
    ? "The scores above are at the threshold that was chosen for F1, which <code>predict --experiment</code> uses too."
    : "The scores above are at the configured threshold.";
  const note = `Tuned on the validation images, so these scores are slightly too high. ${used}`;
  const use = `--set inference.bbox_threshold=${rows[0]?.[2]} --set inference.adaptive_threshold=false`;
  return `${table(head, rows)}<p class="lead">${note} To predict with another: <code>${use}</code></p>`;
}

/** Scores at the threshold with which the model predicts, and F1 also at the best one for other images. */
function testScores({ results }: ExperimentFiles): string {
  const rows = results.flatMap(({ fold, test_images: images, test }) => {
    const summary = record(record(test).summary ?? test);
    if (Object.keys(summary).length === 0) return [];
    const tuned = record(record(test).best_f1).f1 ?? null;
    return [[String(fold), images ?? null, ...Object.keys(scores).map((key) => summary[key] ?? null), tuned]];
  });
  return rows.length === 0 ? "" : table(["fold", "test images", ...Object.values(scores), "F1 at the tuned threshold"], rows);
}

function dataSection({ config, splits, images, duplicates }: ExperimentFiles): string {
  const count = (list: unknown) => (Array.isArray(list) ? String(list.length) : "0");
  const cells = images
    .map(({ metrics }) => record(record(metrics).counts))
    .map(
      ({ tp, fn, true_positives, false_negatives }) => Number(tp ?? true_positives ?? 0) + Number(fn ?? false_negatives ?? 0),
    );
  const facts: unknown[][] = [
    ["images", String(config.img_path ?? "–")],
    ["masks", String(config.mask_path ?? "–")],
    ["tile", `${config.tile_size ?? "–"} px, overlap ${config.tile_overlap ?? "–"}`],
  ];
  if (cells.some((n) => n > 0)) facts.push(["cells in the evaluated images", String(cells.reduce((sum, n) => sum + n, 0))]);
  const sides = splits.map((split, i) => [String(i + 1), count(split.train), count(split.val), count(split.test)]);
  const alike = duplicates.map(({ a, b, similarity, across_in_folds: folds }) => [
    a,
    b,
    similarity ?? null,
    Array.isArray(folds) && folds.length > 0 ? `in fold ${folds.join(", ")}` : "no",
  ]);
  return (
    table(["", ""], facts) +
    (alike.length > 0
      ? `<h3>Near-duplicate images</h3>${table(["image", "image", "correlation", "on two sides"], alike)}`
      : "") +
    (sides.length > 0 ? table(["split", "training images", "validation images", "test images"], sides) : "")
  );
}

/** The settings: those that differ from the defaults first. */
function configuration(config: Json): string {
  const rows = (value: Json, head = ""): string[][] =>
    Object.entries(value).flatMap(([key, entry]) =>
      key === "environment"
        ? []
        : Object.keys(record(entry)).length > 0
          ? rows(record(entry), `${head}${key}.`)
          : [[head + key, JSON.stringify(entry)]],
    );
  const all = rows(config);
  const {
    img_path: _i,
    mask_path: _m,
    output_name: _n,
    ...defaults
  } = record(toSnake(experimentSchema().parse({ imgPath: "-", maskPath: "-", outputName: "defaults" })));
  const usual = new Map(rows(defaults) as [string, string][]);
  const changed = all.filter(([key = "", value]) => usual.get(key) !== value);
  const head = ["setting", "value"];
  return table(head, changed) + details("All settings, also those at their defaults", table(head, all));
}

/** Without the date, so that a resumed run writes the same report as an undisturbed one; experiment_config.json has it. */
function environment(config: Json): string {
  const facts = Object.entries(record(config.environment))
    .filter(([key]) => key !== "created")
    .map(([key, value]) => [key.replaceAll("_", " "), typeof value === "string" ? value : JSON.stringify(value)]);
  return facts.length > 0 ? table(["", ""], facts) : "";
}
