/** Studio's page in Chromium: what a person does with it, and what the server then has. */
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer, { type Browser, type Page } from "puppeteer-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { writeLabels, writeRgbPng } from "../../lib/data/write.js";
import { chromium } from "../chromium.js";
import { drag, openWindow, pointer, StudioServer, saved, showImage, textOf, type Window, waitForText } from "./browser.js";
import { writeRun } from "./runFolder.js";

if (!chromium) console.warn("WARNING: no Chromium found, studio's page is not looked at. Install it, or set CHROMIUM.");

const nasty = `<img src=x onerror=alert(1)> & "q" 'p' %41 #1.png`;
const size = { width: 200, height: 160 };

/** Three images of purple discs on a pale ground, of which the last has masks; their ids are 1 to 3, by name. */
async function makeData(folder: string): Promise<void> {
  const { width, height } = size;
  const data = new Uint8Array(3 * width * height).fill(225);
  const labels = new Int32Array(width * height);
  let id = 0;
  for (let y = 30; y < height; y += 50) {
    for (let x = 30; x < width; x += 50) {
      id++;
      for (let j = -12; j <= 12; j++) {
        for (let i = -12; i <= 12; i++) {
          if (i * i + j * j > 144) continue;
          const at = (y + j) * width + x + i;
          labels[at] = id;
          data.set([120, 60, 150], 3 * at);
        }
      }
    }
  }
  await mkdir(join(folder, "images"));
  await mkdir(join(folder, "masks"));
  for (const name of [nasty, "b.png", "c.png"]) await writeRgbPng(join(folder, "images", name), data, height, width);
  await writeLabels(join(folder, "masks", "c.png"), { data: labels, shape: [height, width] });
}

describe.skipIf(!chromium)("studio's page", () => {
  let browser: Browser;
  let folder: string;
  let server: StudioServer;
  const windows: Window[] = [];
  /** What a test expects to be complained of. */
  let expected: RegExp[] = [];

  beforeAll(async () => {
    browser = await puppeteer.launch({ executablePath: chromium as string, args: ["--no-sandbox", "--disable-gpu"] });
  });
  afterAll(() => browser?.close());
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "cellsam-page-"));
    await makeData(folder);
    server = await start();
    expected = [];
  });
  afterEach(async () => {
    const complaints = windows.flatMap((window) => window.complaints);
    for (const { page } of windows.splice(0)) await page.close();
    await server.stop("SIGKILL");
    await rm(folder, { recursive: true, force: true });
    expect(complaints.filter((text) => !expected.some((known) => known.test(text)))).toEqual([]);
  });

  const start = (more: { port?: number; token?: string } = {}) =>
    StudioServer.start({ data: join(folder, "images"), masks: join(folder, "masks"), out: join(folder, "out"), ...more });

  async function open(image: number): Promise<Page> {
    const window = await openWindow(browser, server.address, image);
    windows.push(window);
    return window.page;
  }

  const press = async (page: Page, ...keys: string[]) => {
    for (const key of keys) {
      const parts = key.split("+");
      const last = parts.pop() as string;
      for (const held of parts) await page.keyboard.down(held as "Shift");
      await page.keyboard.press(last as "A");
      for (const held of parts) await page.keyboard.up(held as "Shift");
    }
  };

  test("the list has every image, with names as text and its state", async () => {
    const page = await open(2);
    const names = await page.$$eval(".row .name", (all) => all.map(({ textContent }) => textContent));
    expect(names).toEqual([nasty, "b.png", "c.png"]);
    const states = await page.$$eval(".row .chip", (all) => all.map(({ textContent }) => textContent));
    expect(states).toEqual(["no labels", "no labels", "own masks"]);
    await page.waitForFunction(`[...document.querySelectorAll(".row img")].every(({ naturalWidth }) => naturalWidth === 200)`);
    await showImage(page, 1);
    await waitForText(page, "#image-title", nasty);
    expect(await page.title()).toBe(`${nasty} – images – cellsam studio`);
    await showImage(page, 3);
    await saved(page, "12 cells");
  });

  test("what is drawn is saved, and there after reloading", async () => {
    const page = await open(2);
    const at = await pointer(page, size);
    await press(page, "b");
    await drag(page, [at(50, 80), at(90, 80)]);
    await saved(page, "1 cell");
    // It is selected, so that a further stroke adds to it.
    await drag(page, [at(70, 80), at(70, 110)]);
    await waitForText(page, ".saved", "Saved");
    await press(page, "Escape");
    await drag(page, [at(150, 40), at(150, 60)]);
    await saved(page, "2 cells");
    const [first, second] = await server.cells(2);
    // A brush of radius 6 along 40 px, and down 30 px: each stroke is a rectangle with two half discs.
    const stroke = 40 * 12 + Math.PI * 36;
    expect(first?.bounds).toEqual([44, 74, 96, 116]);
    expect(first?.area).toBeGreaterThan(stroke + 0.9 * 24 * 12);
    expect(first?.area).toBeLessThan(1.1 * (stroke + 30 * 12));
    expect(second?.bounds).toEqual([144, 34, 156, 66]);
    await page.reload();
    await saved(page, "2 cells");
  });

  test("undo and redo go through every edit", async () => {
    const page = await open(2);
    const at = await pointer(page, size);
    await press(page, "b");
    for (const [i, x] of [40, 90, 140].entries()) {
      await press(page, "Escape");
      await drag(page, [at(x, 50), at(x + 20, 50)]);
      await saved(page, `${i + 1} cell`);
    }
    const drawn = await server.cells(2);
    for (const left of ["2 cells", "1 cell", "0 cells"]) {
      await press(page, "Control+z");
      await saved(page, left);
    }
    expect(await page.$eval("[aria-label=Undo]", (button) => (button as unknown as { disabled: boolean }).disabled)).toBe(true);
    await press(page, "Control+Shift+z");
    await saved(page, "1 cell");
    await press(page, "Control+y", "Control+y");
    await saved(page, "3 cells");
    expect(await server.cells(2)).toEqual(drawn);
  });

  test("a click proposes a cell, which Enter makes one", async () => {
    const page = await open(2);
    const at = await pointer(page, size);
    await press(page, "c");
    await page.mouse.click(...at(80, 80));
    await waitForText(page, ".options", "IoU 0.90");
    expect(await server.cells(2)).toEqual([]);
    await page.mouse.click(...at(99, 80), { button: "right" });
    await page.keyboard.press("Escape");
    await waitForText(page, ".options", "Over other cells");
    expect(await textOf(page, ".options")).not.toContain("IoU");
    await page.mouse.click(...at(80, 80));
    await waitForText(page, ".options", "IoU 0.90");
    await press(page, "Enter");
    await saved(page, "1 cell");
    // It is not selected, so that the brush begins another cell.
    await waitForText(page, ".options", "Over other cells");
    expect(await textOf(page, ".options")).not.toContain("Cell");
    const [cell] = await server.cells(2);
    expect(cell?.area).toBeGreaterThan(0.95 * Math.PI * 144);
    expect(cell?.area).toBeLessThan(1.05 * Math.PI * 144);
    expect(cell).toMatchObject({ state: "drawn", score: 0.9 });
    // A box of 30 px: the stand-in answers with the disc in it.
    await press(page, "x");
    await drag(page, [at(120, 100), at(150, 130)]);
    await waitForText(page, ".options", "IoU 0.90");
    await press(page, "Enter");
    await saved(page, "2 cells");
    expect((await server.cells(2))[1]?.bounds).toEqual([120, 100, 150, 130]);
  });

  test("a point too far from the first one is refused and forgotten", async () => {
    const page = await open(2);
    const at = await pointer(page, size);
    await press(page, "c");
    await page.mouse.click(...at(40, 80));
    await waitForText(page, ".options", "IoU 0.90");
    expected = [/400/];
    await page.mouse.click(...at(160, 80));
    await waitForText(page, ".messages", "This point is too far from the first one: accept or clear the proposal first.");
    // The next point is beside the first one alone.
    await page.mouse.click(...at(50, 80));
    await waitForText(page, ".options", "IoU 0.90");
    await press(page, "Enter");
    await saved(page, "1 cell");
    expect((await server.cells(2))[0]?.bounds).toEqual([28, 68, 52, 92]);
  });

  test("the status line says what had no effect, and cells that are gone are not deleted again", async () => {
    const page = await open(3);
    const at = await pointer(page, size);
    await saved(page, "12 cells");
    await page.mouse.click(...at(30, 30));
    await waitForText(page, ".options", "Cell 1");
    await press(page, "e");
    await drag(page, [at(80, 30), at(90, 30)]);
    await waitForText(page, ".hint", "Nothing changed: the stroke is for the selected cell 1.");
    await press(page, "1");
    await waitForText(page, ".hint", "Channel 1 is hidden");
    await press(page, "Escape", "v");
    expect(await page.$(".options")).toBeNull();
    await page.mouse.click(...at(30, 30));
    await waitForText(page, ".options", "Cell 1");
    await press(page, "Delete", "Delete");
    await saved(page, "11 cells");
    expect(await page.$(".message")).toBeNull();
  });

  test("the document never scrolls, and the way back from runs leads to the same image", async () => {
    const page = await open(2);
    for (const image of [2, 3]) await server.api(`images/${image}/done`, { done: true });
    await waitForText(page, ".loop form", "Train on 2 corrected images");
    await page.setViewport({ width: 1280, height: 500 });
    expect(await page.evaluate("[document.documentElement.scrollHeight, innerHeight]")).toEqual([500, 500]);
    const overflow = await page.$eval(".side", ({ scrollWidth, clientWidth }) => scrollWidth - clientWidth);
    expect(overflow).toBe(0);
    await waitForText(page, ".fields", "Epochs per stage");
    // The preset `tiny`: lib/config/presets.ts.
    expect(await page.$eval(".fields input", (input) => input.getAttribute("placeholder"))).toBe("30 + 20");
    await page.click('.top a[href="#runs"]');
    await waitForText(page, ".run-list", "No run yet");
    await page.click('.top a[href^="#image"]');
    await waitForText(page, "#image-title", "b.png");
  });

  test("cells are split, merged, erased, filled and deleted", async () => {
    const page = await open(3); // own masks: discs of radius 12 around (30, 30), (80, 30), ...
    const at = await pointer(page, size);
    await saved(page, "12 cells");
    await press(page, "s");
    await drag(page, [at(30, 12), at(30, 48)]);
    await saved(page, "13 cells");
    await press(page, "m");
    await drag(page, [at(24, 30), at(36, 30)]);
    await saved(page, "12 cells");
    await press(page, "m");
    await drag(page, [at(30, 30), at(80, 30)]);
    await saved(page, "11 cells");
    await press(page, "Escape", "e");
    await drag(page, [at(130, 30), at(131, 30)]);
    await waitForText(page, ".saved", "Saved");
    const holed = (await server.cells(3)).find(({ bounds }) => bounds[0] === 118 && bounds[1] === 18);
    await press(page, "f");
    await page.mouse.click(...at(130, 30));
    await page.waitForFunction(`document.querySelector(".saved").textContent === "Saved"`);
    await press(page, "d");
    await page.mouse.click(...at(30, 130));
    await saved(page, "10 cells");
    const cells = await server.cells(3);
    const filled = cells.find(({ id }) => id === holed?.id);
    // A disc of radius 12 on whole pixels has 441 of them; the brush took about 125.
    expect(holed?.area).toBeLessThan(441 - 100);
    expect(filled?.area).toBe(441);
    expect(cells.some(({ bounds }) => bounds[0] === 18 && bounds[1] === 118)).toBe(false);
    expect(cells.some(({ area }) => area === 2 * 441)).toBe(true);
  });

  test("predictions are reviewed, and the image is marked as corrected", async () => {
    const page = await open(2);
    await press(page, "p");
    // Discs around (20, 20), (60, 20), ...: 5 x 4.
    await saved(page, "20 cells, 20 to review");
    // Nobody else has changed it.
    expect(await page.$(".message")).toBeNull();
    await press(page, "n");
    await waitForText(page, ".options", "score 0.50, predicted");
    await press(page, "a");
    await saved(page, "20 cells, 19 to review");
    await press(page, "r");
    await saved(page, "19 cells, 18 to review");
    await press(page, "Shift+a");
    await waitForText(page, ".status [role=status]", "19 cells");
    await page.waitForFunction(`!document.querySelector(".status [role=status]").textContent.includes("review")`);
    await press(page, "Control+Enter");
    await waitForText(page, '.images a[href="#image/2"]', "corrected");
    const row = (await server.images()).find(({ id }) => id === 2);
    expect(row).toMatchObject({ state: "corrected", split: "training", cells: 19 });
    await press(page, "t");
    await waitForText(page, ".layers label:has(:checked)", "Prediction");
    await waitForText(page, "button.done", "Corrected: used for training");
    await showImage(page, 3);
    await waitForText(page, "#image-title", "c.png");
    await press(page, "Control+Enter");
    await waitForText(page, "button.done", "Corrected: held out");
  });

  test("a person without a mouse opens, segments, draws, accepts and saves", async () => {
    const page = await open(1);
    await press(page, "j");
    await waitForText(page, "#image-title", "b.png");
    await page.focus(".canvas canvas");
    await press(page, "c", "ArrowRight", "Space");
    await waitForText(page, ".options", "IoU 0.90");
    await press(page, "Enter");
    await saved(page, "1 cell");
    await press(
      page,
      "Escape",
      "b",
      ...Array(14).fill("ArrowDown"),
      "Space",
      "ArrowRight",
      "ArrowRight",
      "ArrowRight",
      "Space",
    );
    await saved(page, "2 cells");
    const [clicked, painted] = await server.cells(2);
    expect(clicked?.centre[1]).toBeCloseTo(80.5, 0);
    expect((painted?.bounds[2] ?? 0) - (painted?.bounds[0] ?? 0)).toBeGreaterThan(14);
    await press(page, "Control+Enter");
    await waitForText(page, '.images a[href="#image/2"]', "corrected");
    await press(page, "?");
    await waitForText(page, "dialog[open]", "Split along a line");
    await press(page, "Escape");
    expect(await page.$("dialog[open]")).toBeNull();
  });

  test("a second window is told of edits, and asked where both were made at once", async () => {
    const [one, two] = [await open(2), await open(2)];
    const at = await pointer(one, size);
    await press(one, "b");
    await drag(one, [at(40, 40), at(60, 40)]);
    await waitForText(two, ".messages", "Another window changed this image: its labels are shown.");
    await saved(two, "1 cell");
    // The second window's edit is held back until the first has made another one.
    await two.setRequestInterception(true);
    two.on("request", async (request) => {
      if (request.method() === "POST") {
        await server.api("images/2/edits", {
          revision: 1,
          edit: { kind: "paint", points: [[150, 100]], radius: 5, cell: null },
        });
        two.removeAllListeners("request");
        await two.setRequestInterception(false);
      }
      await request.continue();
    });
    expected = [/409/];
    await press(two, "b");
    await drag(two, [at(100, 100), at(110, 100)]);
    await waitForText(two, ".messages", "Another window changed this image first.");
    await saved(two, "2 cells");
    await two.click(".message.error button:not(.tool)");
    await saved(two, "3 cells");
    await saved(one, "3 cells");
  });

  test("nothing is lost where the server is killed and started again", async () => {
    const page = await open(2);
    const at = await pointer(page, size);
    await press(page, "b");
    await drag(page, [at(40, 40), at(60, 40)]);
    await saved(page, "1 cell");
    expected = [/Failed to load resource/, /ERR_/];
    const { port } = server;
    await server.stop("SIGKILL");
    await waitForText(page, "[role=alert]", "The server does not answer.");
    await press(page, "Escape");
    await drag(page, [at(120, 100), at(140, 100)]);
    await waitForText(page, ".saved", "1 edit not saved yet");
    server = await start({ port });
    await waitForText(page, "[role=alert]", "Open the address that it printed");
    windows.push(await openWindow(browser, server.address));
    await page.bringToFront();
    await waitForText(page, ".connection", "Connected");
    await saved(page, "2 cells");
    expect(await server.cells(2)).toHaveLength(2);
    expect(await page.$("[role=alert]")).toBeNull();
  });

  test("a model that is worse on held-out images is not advised, but for few of them nothing is said against it", async () => {
    const runs = join(folder, "out", "runs");
    await writeRun(runs, "few", { f1: 0.4, f1Before: 0.5, heldOut: 5 });
    const page = await open(2);
    await waitForText(page, ".loop", "Worse on 5 held-out images: too few to tell.");
    await writeRun(runs, "many", { f1: 0.4, f1Before: 0.5, heldOut: 6 });
    await waitForText(page, ".loop", "Worse on held-out images: train longer");
    expect(await textOf(page, ".loop")).not.toContain("too few");
  });

  test("a page goes on by itself when a server with the same token and port is there again", async () => {
    const token = "a-token-that-only-this-test-has";
    await server.stop();
    server = await start({ token });
    const { port } = server;
    const page = await open(2);
    const at = await pointer(page, size);
    expected = [/Failed to load resource/, /ERR_/];
    await server.stop("SIGKILL");
    await press(page, "b");
    await drag(page, [at(40, 40), at(60, 40)]);
    await waitForText(page, ".saved", "1 edit not saved yet");
    server = await start({ port, token });
    await waitForText(page, ".connection", "Connected");
    await saved(page, "1 cell");
    expect(await server.cells(2)).toHaveLength(1);
    expect(await page.$("[role=alert]")).toBeNull();
  });

  test.each([
    [1280, "light"],
    [1280, "dark"],
    [400, "light"],
    [400, "dark"],
  ])("is usable and accessible at %i px, %s", async (width, theme) => {
    const page = await open(3);
    await saved(page, "12 cells");
    await page.setViewport({ width, height: 800 });
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
    // Evaluated, since the page loads no script but its own.
    await page.evaluate(await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8"));
    const look = async (name: string) => {
      await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");
      expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(width);
      const found = await page.evaluate("axe.run().then(({ violations }) => violations)");
      const violations = (found as { id: string; nodes: { html: string; failureSummary: string }[] }[]).map(
        ({ id, nodes }) => ({
          id,
          nodes: nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`),
        }),
      );
      expect(violations, name).toEqual([]);
      if (process.env.CELLSAM_SCREENSHOTS)
        await page.screenshot({ path: `${process.env.CELLSAM_SCREENSHOTS}/${name}_${width}_${theme}.png` });
    };
    await press(page, "n");
    await look("image");
    for (const panel of ["View", "Loop"]) {
      if (width > 760) break;
      await page.evaluate(
        `[...document.querySelectorAll(".narrow-choice label")].find((label) => label.textContent === "${panel}").click()`,
      );
      await look(panel.toLowerCase());
    }
    await press(page, "?");
    await look("help");
    await press(page, "Escape");
    await page.evaluate(`location.hash = "#runs"`);
    await waitForText(page, ".run-list", "No run yet");
    await look("runs");
  });
});
