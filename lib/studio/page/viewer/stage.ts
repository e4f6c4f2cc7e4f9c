/** The viewer of the page, once its canvas is there. */
import { signal } from "@preact/signals";
import type { Viewer } from "./viewer.js";

export const viewer = signal<Viewer | null>(null);
