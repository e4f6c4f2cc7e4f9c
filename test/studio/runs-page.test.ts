/** The page of `cellsam train --watch` in Chromium: the runs of a folder, live, and two of them compared. */
import { appendFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer, { type Browser } from "puppeteer-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Served, serveRuns } from "../../lib/studio/serve.js";
import { chromium } from "../chromium.js";
import { textOf, waitForText } from "./browser.js";
import { epochLine, writeRun } from "./runFolder.js";

describe.skipIf(!chromium)("the page of runs", () => {
  let browser: Browser;
  let folder: string;
  let served: Served;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "cellsam-runs-"));
    await writeRun(folder, "first <i>", { f1: 0.6, f1Before: 0.5, heldOut: 2 });
    await writeRun(folder, "second", { f1: 0.75, f1Before: 0.5, heldOut: 2 });
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
    expect(await textOf(page, ".run-list tbody")).toMatch(/first <i>finished3\/3.*0.50 → to 0.60 \+0.10/);
    expect(await textOf(page, ".run-list tbody")).toContain("0.50 → to 0.75 +0.25");
    await page.evaluate(`[...document.querySelectorAll(".run-list a")].find((link) => link.textContent === "second").click()`);
    await waitForText(page, "#run-title", "second finished");
    const label = () => page.$$eval(".run [role=img]", (charts) => charts.map((chart) => chart.getAttribute("aria-label")));
    expect((await label())[0]).toBe("Loss of stage 1 after 2 epochs: training 2.000, validation 2.250");
    const epochs = (await label())[1]?.match(/after (\d)/)?.[1];
    await appendFile(join(folder, "second/logs/events.jsonl"), epochLine(2, Number(epochs) + 1, 0.4, 0.7));
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
