/** What the tools have in common. A tool is given points of the image, from a pointer or from the keyboard's crosshair. */
import type { ToolName } from "../state/settings.js";

export interface Press {
  /** In pixels of the image. */
  point: readonly [number, number];
  /** The cell there; 0 is none. */
  cell: number;
  /** With the right button, or with Shift. */
  other: boolean;
}

export interface Tool {
  name: ToolName;
  /** For people. */
  title: string;
  /** What it does, for the status line. */
  hint: string;
  /** A drag is the tool's; with the others it moves the view. */
  drags: boolean;
  press(at: Press): void;
  /** While it is pressed. */
  move?(at: Press): void;
  release?(at: Press): void;
  /** The key Escape: gives up what is under way, or the selection. */
  escape?(): void;
  /** Marks of what is under way; `pointer` is where the pointer or the crosshair is. */
  draw?(context: CanvasRenderingContext2D, pixel: number, pointer: readonly [number, number] | null): void;
}
