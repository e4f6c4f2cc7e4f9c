/** Studio as a person meets it: predict, correct, train for one short epoch, use the new model, and see the scores. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import puppeteer, { type Browser, type Page } from "puppeteer-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chromium } from "../chromium.js";
import { openWindow, saved, showImage, textOf, waitForText } from "../studio/browser.js";

const root = new URL("../../", import.meta.url).pathname;
const names = ["dsb_0b2e702f90ae.png", "dsb_1b2bf5933b0f.png", "dsb_4948e3dfe048.png"];

describe.skipIf(!chromium)("studio with the shipped weights", () => {
  let browser: Browser;
  let folder: string;
  let server: ChildProcess;
  let address: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "cellsam-studio-"));
    for (const kind of ["images", "masks"]) {
      for (const name of names) await cp(join(root, "examples/nuclei", kind, name), join(folder, kind, name));
    }
    const flags = [join(folder, "images"), "--masks", join(folder, "masks"), "--out", join(folder, "out"), "--json"];
    server = spawn(process.execPath, [join(root, "dist/cli/main.js"), "studio", ...flags], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    for await (const line of createInterface({ input: server.stdout as NodeJS.ReadableStream })) {
      address = JSON.parse(line).address;
      break;
    }
    browser = await puppeteer.launch({
      executablePath: chromium as string,
      args: ["--no-sandbox", "--disable-gpu"],
      protocolTimeout: 600_000,
    });
  });
  afterAll(async () => {
    await browser?.close();
    server?.kill();
    if (server?.exitCode === null) await once(server, "exit");
    await rm(folder, { recursive: true, force: true });
  });

  const clickButton = async (page: Page, text: string) => {
    const find = `[...document.querySelectorAll("button")].find((button) => button.textContent === ${JSON.stringify(text)} && !button.disabled)`;
    await page.waitForFunction(find);
    await page.evaluate(`${find}.click()`);
  };

  test("the loop, once round", async () => {
    const { page, complaints } = await openWindow(browser, address);
    page.setDefaultTimeout(600_000);
    await clickButton(page, "All");
    for (const [i] of names.entries()) await waitForText(page, `.images a[href="#image/${i + 1}"]`, "score");

    // A click of the network's own, on the first nucleus of the user's masks.
    await showImage(page, 3);
    await saved(page, "10 cells");
    await page.focus(".canvas canvas");
    await page.keyboard.press("c");
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("Space");
    await page.waitForFunction(`/IoU|No cell/.test(document.querySelector(".options")?.textContent ?? "")`);
    await page.keyboard.press("Escape");

    for (const [i] of names.entries()) {
      await showImage(page, i + 1);
      await clickButton(page, "Mark as corrected");
      await waitForText(page, `.images a[href="#image/${i + 1}"]`, "corrected");
    }
    await page.type(".fields input", "1");
    await clickButton(page, "Train on 3 corrected images");
    await waitForText(page, ".loop", "Use the new model");
    const scores = await textOf(page, ".big-score");
    expect(scores).toMatch(/^F1 held out [01]\.\d\d.* to [01]\.\d\d [+−]0\.\d\d$/);
    await clickButton(page, "Use the new model");
    await waitForText(page, ".top .model", "run-1");
    await clickButton(page, "All");
    await page.waitForFunction(`document.querySelectorAll(".row .score-change").length === 3`);

    await page.evaluate(`location.hash = "#runs/run-1"`);
    await waitForText(page, "#run-title", "finished");
    expect(await page.$eval(".run .curves [role=img]", (chart) => chart.getAttribute("aria-label"))).toMatch(
      /^Loss of stage 1 after 1 epoch: training \d\.\d+/,
    );
    const report = await page.$eval(".run a.button", (link) => (link as unknown as { href: string }).href);
    expect(await page.evaluate(`fetch(${JSON.stringify(report)}).then(({ status }) => status)`)).toBe(200);
    expect(complaints).toEqual([]);
    expect(await readdir(join(folder, "masks"))).toEqual(names);
  });
});
