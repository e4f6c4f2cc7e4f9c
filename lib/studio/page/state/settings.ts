/** How the page shows things, kept by the browser from one visit to the next. */
import { effect, type Signal, signal } from "@preact/signals";
import type { Layer } from "../../api.js";

export const toolNames = ["select", "click", "box", "brush", "eraser", "fill", "delete", "merge", "split"] as const;
export type ToolName = (typeof toolNames)[number];

export const tool = signal<ToolName>("select");
export const layer = signal<Layer>("labels");
export const areasShown = kept("areas", true);
export const outlinesShown = kept("outlines", true);
/** Of the cells' areas, 0 to 1. */
export const opacity = kept("opacity", 0.35);
/** Radius of brush and eraser, in pixels of the image. */
export const radius = kept("radius", 6);
/** New and grown cells take pixels of the cells they touch. */
export const overOthers = kept("over", false);
export const listOrder = kept<"name" | "next" | "score">("order", "name");
/** The panel that a narrow screen shows. */
export const narrowPanel = signal<"images" | "view" | "loop">("images");

/** A signal whose value is stored; one that was stored as something else than the default's type is not taken. */
function kept<Value>(name: string, value: Value): Signal<Value> {
  const key = `cellsam-studio-${name}`;
  const made = signal(value);
  try {
    const stored = JSON.parse(localStorage.getItem(key) ?? "null");
    if (typeof stored === typeof value && stored !== null) made.value = stored;
  } catch {
    // Another program's text, or a browser that stores nothing.
  }
  effect(() => {
    const text = JSON.stringify(made.value);
    try {
      localStorage.setItem(key, text);
    } catch {
      // A browser that stores nothing: the value lasts as long as the page.
    }
  });
  return made;
}
