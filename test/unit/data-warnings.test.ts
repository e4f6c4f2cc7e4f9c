// Plan, training, prediction and evaluation say the same of a data set. The engine finds nothing: it is not what is tested.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { evaluateFolders, evaluateWeights } from "../../lib/evaluation/folders.js";
import type { TrainingEvent } from "../../lib/events.js";
import { planExperiment } from "../../lib/plan/experiment.js";
import { predictFolder } from "../../lib/predict/folder.js";
import { ExperimentRunner } from "../../lib/train/experiment.js";
import { drawnField, photographed, writePng } from "./drawn-cells.js";
import { FakeEngine } from "./runner-fake.js";

let folder = "";
let weights = "";
const fields = Array.from({ length: 4 }, (_, i) => drawnField(i + 1));
const { side } = fields[0] as (typeof fields)[number];
const set = (name: string) => ({ imgPath: join(folder, name, "images"), maskPath: join(folder, name, "masks") });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-warnings-"));
  weights = join(folder, "weights.pth");
  await writeFile(weights, JSON.stringify({ weight: 1 }));
  for (const [i, field] of fields.entries()) {
    const grey = photographed(field, i);
    const red = Uint8Array.from({ length: 3 * grey.length }, (_, k) => (k % 3 === 0 ? (grey[k / 3] as number) : 0));
    // A number used twice, at the lower edge, and classes.
    const ids = field.ids.slice();
    if (i === 0) for (let k = 0; k < 6; k++) ids[ids.length - 1 - k] = 3;
    for (const name of ["red", "classes"]) await writePng(join(set(name).imgPath, `f${i}.png`), red, [side, side], 3);
    await writePng(join(set("red").maskPath, `f${i}.png`), ids, [side, side]);
    await writePng(
      join(set("classes").maskPath, `f${i}.png`),
      field.ids.map((id) => (id > 0 ? 1 + (id % 3) : 0)),
      [side, side],
    );
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const plan = (name: string) =>
  planExperiment({
    ...set(name),
    outputName: "plan",
    outputDir: join(folder, "out"),
    size: "tiny",
    device: "cpu",
    tileSize: 96,
    strategy: "train_val_split",
    findDuplicates: false,
  });

it("warnings reach every command in the same words", async () => {
  const red = expect.stringMatching(/^4 of 4 images hold one channel.*\(red\).*channels: \[0, 1, 2\]/);
  const twice = expect.stringMatching(/^1 ids lie in several separate regions.*f0\.png: 3/);
  const { warnings } = await plan("red");
  expect(warnings).toEqual(expect.arrayContaining([red, twice]));
  const said = warnings.filter((text) => /one channel|several separate/.test(text));
  expect(said).toHaveLength(2);

  const evaluated: string[] = [];
  const take = (list: string[]) => (message: string) => void list.push(message);
  const { imgPath, maskPath } = set("red");
  const model = { weights, device: "cpu" } as const;
  const { openSession, openStoreWriter } = new FakeEngine();
  await evaluateWeights(imgPath, maskPath, model, { openSession, onWarning: take(evaluated) });
  expect(evaluated).toEqual(said);

  const predicted: string[] = [];
  await predictFolder(imgPath, model, { openSession, outputDir: join(folder, "labels"), onWarning: take(predicted) });
  expect(predicted).toEqual(said.slice(0, 1)); // it sees no masks

  const compared: string[] = [];
  await evaluateFolders(maskPath, set("classes").maskPath, { onWarning: take(compared) });
  expect(compared).toEqual(said.slice(1));

  const trained: TrainingEvent[] = [];
  const config = { ...set("red"), outputName: "run", outputDir: join(folder, "out"), strategy: "train_val_split" as const };
  const runner = new ExperimentRunner(
    { ...config, size: "tiny", device: "cpu", tileSize: 96, saveVisualizations: false, tensorboard: false },
    { openSession, openStoreWriter },
  );
  for await (const event of runner.events()) trained.push(event);
  const notices = trained.flatMap((event) => (event.type === "notice" ? [event.message] : []));
  expect(notices).toEqual(expect.arrayContaining(said));
});

it("what is refused is refused by every command, with every file", async () => {
  const { imgPath, maskPath } = set("classes");
  const { openSession } = new FakeEngine();
  const model = { weights, device: "cpu" } as const;
  const refused = {
    code: "ERR_DATASET",
    message: expect.stringMatching(/^4 problems(.|\n)*f0\.png: its 3 ids(.|\n)*f3\.png: its 3 ids/),
  };
  await expect(plan("classes")).rejects.toMatchObject(refused);
  await expect(evaluateWeights(imgPath, maskPath, model, { openSession })).rejects.toMatchObject(refused);
  await expect(evaluateFolders(maskPath, set("red").maskPath)).rejects.toMatchObject(refused);
  const relabelled = { ...model, relabel: "connected" } as const;
  await expect(evaluateWeights(imgPath, maskPath, relabelled, { openSession })).resolves.toMatchObject({
    images: { length: 4 },
  });
});
