/** Studio in a browser: a server with a stand-in for the network, and pages of it that say what they complain of. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "puppeteer-core";
import type { Cell, ImageRow } from "../../lib/studio/api.js";
import { fitted, toScreen } from "../../lib/studio/page/viewer/camera.js";

/** Milliseconds, to end what hangs: beside other work a page may take ten times as long. */
const PATIENCE = 240_000;
const program = fileURLToPath(new URL("standIn.mjs", import.meta.url));

export interface Place {
  data: string;
  out: string;
  masks?: string;
  port?: number;
  /** Default: a new one at every start. */
  token?: string;
}

export class StudioServer {
  private constructor(
    readonly process: ChildProcess,
    readonly address: string,
  ) {}

  static async start({ data, out, masks, port = 0, token }: Place): Promise<StudioServer> {
    const process = spawn(globalThis.process.execPath, [program, data, out, String(port), ...(masks ? [masks] : [])], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...globalThis.process.env, ...(token && { CELLSAM_STUDIO_TOKEN: token }) },
    });
    for await (const line of createInterface({ input: process.stdout as NodeJS.ReadableStream })) {
      if (line.startsWith("http:")) return new StudioServer(process, line);
    }
    throw new Error("studio did not start");
  }

  get port(): number {
    return Number(new URL(this.address).port);
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    this.process.kill(signal);
    await once(this.process, "exit");
  }

  /** What a program gets from a route; with a body it posts. */
  async api<Answer>(path: string, body?: unknown): Promise<Answer> {
    const { origin, searchParams } = new URL(this.address);
    const answer = await fetch(`${origin}/api/${path}`, {
      ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
      headers: { authorization: `Bearer ${searchParams.get("token")}`, "content-type": "application/json" },
    });
    return (await answer.json()) as Answer;
  }

  async images(): Promise<ImageRow[]> {
    return (await this.api<{ images: ImageRow[] }>("images")).images;
  }

  async cells(image: number): Promise<Cell[]> {
    return (await this.api<{ cells: Cell[] }>(`images/${image}/cells`)).cells;
  }
}

export interface Window {
  page: Page;
  /** Errors of scripts and of the console, and requests that failed. */
  complaints: string[];
}

export async function openWindow(browser: Browser, address: string, image: number | null = null): Promise<Window> {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE);
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (["error", "warn"].includes(message.type())) complaints.push(message.text());
  });
  await page.setViewport({ width: 1280, height: 800 });
  await page.goto(address);
  // The first image opens by itself.
  await page.waitForSelector("a[aria-current=true]");
  if (image !== null) await showImage(page, image);
  return { page, complaints };
}

/** Goes to an image and waits until its labels are there. */
export async function showImage(page: Page, image: number): Promise<void> {
  await page.evaluate(`location.hash = "#image/${image}"`);
  await page.waitForSelector(`.images a[href="#image/${image}"][aria-current]`);
  await page.waitForSelector(".status [role=status]");
}

export async function textOf(page: Page, selector: string): Promise<string> {
  return page.$eval(selector, (element) => (element.textContent ?? "").replace(/\s+/g, " ").trim());
}

/** Waits until a part of the page has a text. */
export async function waitForText(page: Page, selector: string, text: string): Promise<void> {
  const check = `(document.querySelector(${JSON.stringify(selector)})?.textContent ?? "").replace(/\\s+/g, " ").includes(${JSON.stringify(text)})`;
  await page.waitForFunction(check).catch(async () => {
    const found = await textOf(page, selector).catch(() => "nothing");
    throw new Error(`${selector} has "${found}", not "${text}"`);
  });
}

/** Waits until the server has confirmed all edits, of which there are cells then. */
export async function saved(page: Page, cells: string): Promise<void> {
  await waitForText(page, ".status [role=status]", cells);
  await waitForText(page, ".saved", "Saved");
}

/** Where points of a fitted image of this size are on the page. */
export async function pointer(page: Page, size: { width: number; height: number }) {
  const box = await (await page.$(".canvas canvas"))?.boundingBox();
  if (!box) throw new Error("no canvas");
  const camera = fitted(size, box);
  return (x: number, y: number): [number, number] => {
    const [left, top] = toScreen(camera, [x, y]);
    return [box.x + left, box.y + top];
  };
}

/** Drags the mouse along points of the page. */
export async function drag(page: Page, [first, ...rest]: [number, number][]): Promise<void> {
  await page.mouse.move(...(first as [number, number]));
  await page.mouse.down();
  for (const point of rest) await page.mouse.move(...point, { steps: 8 });
  await page.mouse.up();
}
