/** What was drawn and is not in the labels yet: it stays on the screen until the labels that have it are there. */
import { signal } from "@preact/signals";
import type { Bounds } from "../../api.js";

export interface Drawing {
  bounds: Bounds;
  /** Draws into a context whose unit is a pixel of the image; `pixel` is one of the screen. */
  draw: (context: CanvasRenderingContext2D, pixel: number) => void;
  /** The server has it, or has refused it. */
  answered: boolean;
}

export const drawings = signal<readonly Drawing[]>([]);

/** Shows a drawing until `work` has ended and the labels have come. */
export async function showUntil(work: Promise<unknown>, drawing: Omit<Drawing, "answered">): Promise<void> {
  const shown: Drawing = { ...drawing, answered: false };
  drawings.value = [...drawings.value, shown];
  await work;
  shown.answered = true;
  drawings.value = [...drawings.value];
}

/** Takes away what the labels show by now. */
export function settle(isFresh: (bounds: Bounds) => boolean): void {
  const left = drawings.value.filter(({ answered, bounds }) => !answered || !isFresh(bounds));
  if (left.length < drawings.value.length) drawings.value = left;
}
