/** The page of `cellsam train --watch` in Chromium: the runs of a folder, live, and two of them compared. */
import { appendFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer, { type Browser } from "puppeteer-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Served, serveRuns } from "../../lib/studio/serve.js";
import { chromium } from "../chromium.js";
import { textOf, waitForText } from "./browser.js";

const epoch = (stage: 1 | 2, number: number, loss: number, f1: number | null = null) =>
  `${JSON.stringify({
    ...{ type: "epoch", fold: 1, stage, epoch: number, epochs: 4, seconds: 30, lr: 0.001, improved: true },
    scores: f1 === null ? null : { f1 },
    train: { total_loss: loss },
    validation: { total_loss: loss + 0.25 },
  })}\n`;

describe.skipIf(!chromium)("the page of runs", () => {
  let browser: Browser;
  let folder: string;
  let served: Served;

  async function makeRun(name: string, f1: number): Promise<void> {
    const write = async (path: string, text: string) => {
      await mkdir(join(folder, name, path, ".."), { recursive: true });
      await writeFile(join(folder, name, path), text);
    };
    const scores = (value: number) => ({ f1: value, ap50: value, mean_ap: value, pq: value, mean_prompt_iou: value });
    const images = [0.1, 0.2, 0.3].map((more, i) => ({ image: `${i}.png`, fold: 1, ...scores(f1 - more) }));
    const result = { fold: 1, train_images: 4, val_images: 2, evaluation: scores(f1) };
    await write("logs/events.jsonl", epoch(1, 1, 3) + epoch(1, 2, 2, 0.55) + epoch(2, 1, 0.5));
    await write("logs/experiment.log", `started <b>${name}</b>\n`);
    await write("resume/run.json", JSON.stringify({ status: "finished" }));
    await write("results/individual_results.json", JSON.stringify([result]));
    await write("results/preeval_results.json", JSON.stringify(scores(0.5)));
    await write("results/per_image.json", JSON.stringify(images));
    await write("results/report.html", "<title>report</title>");
    await write("experiment_config.json", JSON.stringify({ name }));
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "cellsam-runs-"));
    await makeRun("first <i>", 0.6);
    await makeRun("second", 0.75);
    served = await serveRuns(folder, process.pid, { host: "127.0.0.1", port: 0 });
    browser = await puppeteer.launch({ executablePath: chromium as string, args: ["--no-sandbox", "--disable-gpu"] });
  });
  afterAll(async () => {
    await browser?.close();
    await served?.close();
    await rm(folder, { recursive: true, force: true });
  });

  test.each([
    [1280, "dark"],
    [400, "light"],
  ])("shows runs as they go on, and compares two, at %i px, %s", async (width, theme) => {
    const page = await browser.newPage();
    page.setDefaultTimeout(240_000);
    const complaints: string[] = [];
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    await page.setViewport({ width, height: 800 });
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
    await page.goto(served.address);
    await waitForText(page, ".run-list", "first <i>");
    await page.evaluate(await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8"));
    const look = async (name: string) => {
      expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(width);
      const found = (await page.evaluate("axe.run().then(({ violations }) => violations)")) as {
        id: string;
        nodes: object[];
      }[];
      expect(found.map(({ id, nodes }) => [id, JSON.stringify(nodes)])).toEqual([]);
      if (process.env.CELLSAM_SCREENSHOTS)
        await page.screenshot({ path: `${process.env.CELLSAM_SCREENSHOTS}/${name}_${width}_${theme}.png`, fullPage: true });
    };
    expect(await textOf(page, ".run-list tbody")).toContain("0.50 → to 0.75 +0.25");
    await page.evaluate(`[...document.querySelectorAll(".run-list a")].find((link) => link.textContent === "second").click()`);
    await waitForText(page, "#run-title", "second finished");
    const label = () => page.$$eval(".run [role=img]", (charts) => charts.map((chart) => chart.getAttribute("aria-label")));
    expect((await label())[0]).toBe("Loss of stage 1 after 2 epochs: training 2.000, validation 2.250");
    const epochs = (await label())[1]?.match(/after (\d)/)?.[1];
    await appendFile(join(folder, "second/logs/events.jsonl"), epoch(2, Number(epochs) + 1, 0.4, 0.7));
    await page.waitForSelector(`[aria-label^="Loss of stage 2 after ${Number(epochs) + 1} epochs: training 0.400"]`);
    await page.waitForSelector(`[aria-label="F1 of held-out images after ${Number(epochs) + 3} epochs: 0.70, before 0.50"]`);
    expect(await page.$eval("textarea", (log) => (log as unknown as { value: string }).value)).toContain("<b>second</b>");
    await look("run");

    for (const box of await page.$$(".run-list input")) await box.click();
    await page.evaluate(
      `[...document.querySelectorAll("button")].find((button) => button.textContent === "Compare two").click()`,
    );
    await waitForText(page, ".compare table", "IoU, true boxes−0.150−0.150 to −0.150");
    await page.waitForFunction(`document.querySelectorAll(".compare .curves").length === 6`);
    expect(await textOf(page, ".compare caption")).toContain("3 images");
    await look("compare");
    expect(complaints).toEqual([]);
    await page.close();
  });
});
