/**
 * Renders SVG charts as pixels. Text is replaced by outlines of a font that comes with the package, so that the result is the
 * same on a machine without fonts.
 */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import type opentype from "opentype.js";
import type { Font, PathCommand } from "opentype.js";
import { lazily } from "../lazily.js";
import { drawn } from "./imaging.js";

const dom = lazily<typeof import("linkedom")>("linkedom");
const fonts = lazily<{ default: typeof opentype }>("opentype.js");

/** Dots per inch, as in the Python module; an SVG pixel is 1/72 inch. */
const DPI = 150;
let font: Promise<Font> | undefined;

function loadFont(): Promise<Font> {
  font ??= readFile(createRequire(import.meta.url).resolve("@fontsource/lato/files/lato-latin-400-normal.woff")).then((bytes) =>
    fonts().default.parse(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer),
  );
  return font;
}

/** PNG bytes of a chart, dark on white, 150 dpi. @throws CellsamError ERR_PICTURE */
export async function chartPng(svg: string): Promise<Buffer> {
  const outlined = (await textToPaths(svg)).replaceAll("currentColor", "#222");
  return drawn({ kind: "chart", svg: outlined, density: DPI });
}

/** Replaces every `text` element by the outlines of its letters. Size and anchor come from the element or its groups. */
export async function textToPaths(svg: string): Promise<string> {
  const font = await loadFont();
  const { document } = dom().parseHTML(`<html><body>${svg}</body></html>`);
  for (const element of [...document.querySelectorAll("text")]) {
    const inherited = (name: string) => element.closest(`[${name}]`)?.getAttribute(name) ?? undefined;
    const size = Number(inherited("font-size") ?? 11);
    const length = (value: string | null) => (value?.endsWith("em") ? Number.parseFloat(value) * size : Number(value ?? 0));
    const content = element.textContent ?? "";
    const width = font.getAdvanceWidth(content, size);
    const anchor = inherited("text-anchor") ?? "start";
    const x = length(element.getAttribute("x")) - (anchor === "end" ? width : anchor === "middle" ? width / 2 : 0);
    const y = length(element.getAttribute("y")) + length(element.getAttribute("dy"));
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", pathData(font.getPath(content, x, y, size).commands));
    for (const name of ["transform", "fill"]) {
      const value = element.getAttribute(name);
      if (value) path.setAttribute(name, value);
    }
    if (element.getAttribute("font-weight") === "bold") {
      path.setAttribute("stroke", "currentColor");
      path.setAttribute("stroke-width", "0.5");
    }
    element.replaceWith(path);
  }
  return (document.querySelector("svg") as unknown as { outerHTML: string }).outerHTML;
}

/**
 * The `d` attribute, rounded to a hundredth of a pixel. opentype.js's own has NaN where a number is very close to a whole one.
 */
function pathData(commands: readonly PathCommand[]): string {
  const step = ({ type, x1, y1, x2, y2, x, y }: PathCommand) => {
    const numbers = [x1, y1, x2, y2, x, y].filter((value) => value !== undefined);
    return type + numbers.map((value) => Math.round(value * 100) / 100).join(" ");
  };
  return commands.map(step).join("");
}

/** Width of `text` in pixels at a font size. */
export async function textWidth(text: string, size: number): Promise<number> {
  return (await loadFont()).getAdvanceWidth(text, size);
}

/** RGB pixels [height,width,3] of an SVG of this size, on white. @throws CellsamError ERR_PICTURE */
export async function svgPixels(svg: string): Promise<Uint8Array> {
  const outlined = (await textToPaths(svg)).replaceAll("currentColor", "#222");
  return drawn({ kind: "pixels", svg: outlined });
}
