/**
 * `node scripts/studioPictures.mjs [FOLDER]`: takes docs/images/studio-*.png, the pictures of docs/studio.md, in Chromium: the
 * example images with the shipped weights, six of them corrected, and a short training on these. With a folder they are written
 * there.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer from "puppeteer-core";
import sharp from "sharp";
import { root } from "./ready.mjs";

const { serveStudio } = await import("../dist/studio/serve.js");
const { openEngineModel } = await import("../dist/studio/engineModel.js");

/** @import { Page } from "puppeteer-core" */
/** @import { ImageRow, Job } from "../dist/studio/api.js" */

const target = process.argv[2] ?? join(root, "docs", "images");
mkdirSync(target, { recursive: true });
/** A stained image, and a nucleus of it that the shipped weights do not find. */
const shown = "dsb_2c61fdcb36fd.png";
/** @type {[number, number]} */
const missed = [201, 49];
/** Epochs of each stage of the training that the page of runs shows: some minutes. */
const epochs = 6;
/** The part of the canvas that an image fills which is shown as a whole. */
const FILL = 0.96;

const work = mkdtempSync(join(tmpdir(), "cellsam-pictures-"));
cpSync(join(root, "examples", "nuclei", "images"), join(work, "nuclei"), { recursive: true });
cpSync(join(root, "examples", "nuclei", "masks"), join(work, "masks"), { recursive: true });
const { address, close } = await serveStudio(
  {
    data: join(work, "nuclei"),
    masks: join(work, "masks"),
    out: join(work, "nuclei-studio"),
    settings: { weights: "cellsam-tiny", device: "cpu" },
    openModel: openEngineModel,
  },
  { host: "127.0.0.1", port: 0 },
);
const { origin, searchParams } = new URL(address);
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"], protocolTimeout: 600_000 });
try {
  await takePictures();
} finally {
  await browser.close();
  await close();
  rmSync(work, { recursive: true, force: true });
}

async function takePictures() {
  /** @type {{ images: ImageRow[] }} */
  const { images } = await api("images");
  const id = images.find(({ name }) => name === shown)?.id ?? 1;
  await done(await api("predict", { images: images.map((image) => image.id) }));
  // Corrected ones have the masks that the examples come with.
  for (const image of images.filter((_, i) => i < 7 && i !== id - 1)) {
    const { revision } = await api(`images/${image.id}`);
    await api(`images/${image.id}/edits`, { revision, edit: { kind: "take-own-masks" } });
    await api(`images/${image.id}/done`, { done: true });
  }
  const { revision } = await api(`images/${id}`);
  await api(`images/${id}/edits`, { revision, edit: { kind: "take-prediction" } });

  const page = await browser.newPage();
  page.setDefaultTimeout(600_000);
  await page.goto(address);
  await page.waitForSelector("a[aria-current=true]");
  await show(page, "light", 1280, 800);
  await page.evaluate(`location.hash = "#image/${id}"`);
  await page.waitForSelector(`.images a[href="#image/${id}"][aria-current]`);
  await segmentAt(page, id, missed);
  await picture(page, "studio-click");

  await page.keyboard.press("Escape");
  for (let i = 0; i < 4; i++) await page.keyboard.press("n");
  await show(page, "dark", 1280, 800);
  await picture(page, "studio-dark");
  await show(page, "light", 400, 860);
  await page.keyboard.press("0");
  await picture(page, "studio-narrow");

  /** @type {Job} */
  const training = await api("train", { epochs });
  await done(training);
  await show(page, "light", 1280, 800);
  await page.evaluate(`location.hash = "#runs/${training.run}"`);
  await page.waitForSelector(`[aria-label^="F1 of held-out images after ${2 * epochs} epochs"]`);
  await picture(page, "studio-runs");
}

/**
 * Clicks on a point of an image that is shown as a whole, for the network to segment the cell there.
 * @param {Page} page
 * @param {number} id
 * @param {[number, number]} point
 */
async function segmentAt(page, id, [x, y]) {
  const { width, height } = await api(`images/${id}`);
  const box = await (await page.$(".canvas canvas"))?.boundingBox();
  if (!box) throw new Error("the page has no canvas");
  const scale = FILL * Math.min(box.width / width, box.height / height);
  const [left, top] = [(box.width - scale * width) / 2, (box.height - scale * height) / 2];
  await page.keyboard.press("c");
  await page.mouse.click(box.x + left + scale * x, box.y + top + scale * y);
  await page.waitForFunction(`document.querySelector(".options")?.textContent.includes("IoU")`);
}

/**
 * @param {Page} page
 * @param {"light" | "dark"} theme
 * @param {number} width
 * @param {number} height
 */
async function show(page, theme, width, height) {
  await page.setViewport({ width, height });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
}

/**
 * Takes a picture once the page has nothing left to load.
 * @param {Page} page
 * @param {string} name
 */
async function picture(page, name) {
  await page.waitForNetworkIdle({ idleTime: 1000, concurrency: 1 }); // the events are a request that does not end
  const file = join(target, `${name}.png`);
  await sharp(await page.screenshot())
    .png({ palette: true, colours: 256, effort: 10 })
    .toFile(file);
  console.log(file);
}

/**
 * @param {string} path
 * @param {unknown} [body]
 * @returns {Promise<any>}
 */
async function api(path, body) {
  const answer = await fetch(`${origin}/api/${path}`, {
    ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
    headers: { authorization: `Bearer ${searchParams.get("token")}`, "content-type": "application/json" },
  });
  const value = /** @type {any} */ (await answer.json());
  if (!answer.ok) throw new Error(value.error.message);
  return value;
}

/**
 * Waits until a job has ended.
 * @param {Job} job
 */
async function done({ id }) {
  for (;;) {
    /** @type {{ jobs: Job[] }} */
    const { jobs } = await api("jobs");
    const job = jobs.find((one) => one.id === id);
    if (job?.state === "failed") throw new Error(job.message ?? job.title);
    if (job?.state === "done") return;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}
