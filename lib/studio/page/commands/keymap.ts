/** Keys and what they do: what the page follows, its help sheet shows and docs/studio.md lists. */
export interface Binding {
  /** As `keyOf` names them; the first is the one that buttons show. */
  keys: readonly string[];
  command: string;
  /** For people. */
  does: string;
}

export const keymap = {
  Tools: [
    { keys: ["V"], command: "tool select", does: "Select" },
    { keys: ["C"], command: "tool click", does: "Click to segment" },
    { keys: ["X"], command: "tool box", does: "Box to segment" },
    { keys: ["B"], command: "tool brush", does: "Brush" },
    { keys: ["E"], command: "tool eraser", does: "Eraser" },
    { keys: ["F"], command: "tool fill", does: "Fill holes" },
    { keys: ["D"], command: "tool delete", does: "Delete cells by clicks" },
    { keys: ["M"], command: "tool merge", does: "Merge" },
    { keys: ["S"], command: "tool split", does: "Split along a line" },
    { keys: ["["], command: "smaller brush", does: "Smaller brush and eraser" },
    { keys: ["]"], command: "larger brush", does: "Larger brush and eraser" },
  ],
  Cells: [
    { keys: ["Enter"], command: "accept proposal", does: "Make the proposal a cell" },
    { keys: ["Escape"], command: "escape", does: "Clear the proposal, the stroke or the selection" },
    { keys: ["N"], command: "next cell", does: "Next cell to review, the lowest score first" },
    { keys: ["Shift+N"], command: "previous cell", does: "The one before" },
    { keys: ["A"], command: "accept", does: "Accept the selected cells" },
    { keys: ["Shift+A"], command: "accept all", does: "Accept all cells" },
    { keys: ["R"], command: "reject", does: "Reject the selected cells" },
    { keys: ["Delete", "Backspace"], command: "delete", does: "Delete the selected cells" },
    { keys: ["Shift+M"], command: "merge", does: "Merge the selected cells" },
    { keys: ["Ctrl+Z"], command: "undo", does: "Undo" },
    { keys: ["Ctrl+Shift+Z", "Ctrl+Y"], command: "redo", does: "Redo" },
  ],
  View: [
    { keys: ["+", "="], command: "zoom in", does: "Zoom in" },
    { keys: ["-"], command: "zoom out", does: "Zoom out" },
    { keys: ["0"], command: "fit", does: "Fit the image" },
    { keys: ["Z"], command: "actual size", does: "One pixel for each of the screen" },
    { keys: ["T"], command: "next layer", does: "Labels, prediction, prediction before" },
    { keys: ["L"], command: "areas", does: "Areas of cells on and off" },
    { keys: ["O"], command: "outlines", does: "Outlines on and off" },
    { keys: [","], command: "fainter", does: "Fainter areas" },
    { keys: ["."], command: "stronger", does: "Stronger areas" },
    { keys: ["1", "2", "3", "4", "5", "6"], command: "channel", does: "Channel on and off" },
  ],
  "Crosshair, in place of a mouse": [
    { keys: ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], command: "crosshair", does: "Move by 8 pixels of the screen" },
    {
      keys: ["Shift+ArrowLeft", "Shift+ArrowRight", "Shift+ArrowUp", "Shift+ArrowDown"],
      command: "crosshair finely",
      does: "Move by 1 pixel of the image",
    },
    { keys: ["Space"], command: "press", does: "Click there; with tools that drag: begin, and end" },
    { keys: ["Shift+Space"], command: "press other", does: "Click there as with Shift: negative point, further cell" },
  ],
  "Images and training": [
    { keys: ["J"], command: "next image", does: "Next image" },
    { keys: ["K"], command: "previous image", does: "Previous image" },
    { keys: ["G"], command: "image to correct", does: "The image to correct next" },
    { keys: ["Ctrl+Enter"], command: "done", does: "Mark the image as corrected, or not" },
    { keys: ["P"], command: "predict", does: "Predict this image" },
    { keys: ["Shift+T"], command: "train", does: "Train on the corrected images" },
    { keys: ["?"], command: "help", does: "This sheet" },
  ],
} as const satisfies Record<string, readonly Binding[]>;

export type Command = (typeof keymap)[keyof typeof keymap][number]["command"];

const byKey = new Map<string, Command>();
const byCommand = new Map<Command, string>();
for (const { keys, command } of Object.values(keymap).flat()) {
  byCommand.set(command, shown(keys[0]));
  for (const key of keys) byKey.set(key, command);
}

/** What is looked at of a KeyboardEvent. */
export interface Keys {
  key: string;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
  shiftKey: boolean;
}

/** "Ctrl+Shift+Z", "ArrowUp", "?": Shift is named with letters and named keys only, where it does not change the sign. */
export function keyOf({ key, ctrlKey, metaKey, altKey, shiftKey }: Keys): string {
  const name = key === " " ? "Space" : key.length === 1 ? key.toUpperCase() : key;
  const named = name.length > 1 || /[A-Z]/.test(name);
  return [ctrlKey || metaKey ? "Ctrl" : "", altKey ? "Alt" : "", shiftKey && named ? "Shift" : "", name]
    .filter(Boolean)
    .join("+");
}

export function commandOf(key: string): Command | undefined {
  return byKey.get(key);
}

/** The key of a command, as people write it. */
export function keyFor(command: Command): string {
  return byCommand.get(command) ?? "";
}

/** A key as people write it. */
export function shown(key: string): string {
  const arrows = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓" };
  return key.replace(/Arrow\w+/, (name) => arrows[name as keyof typeof arrows]).replace("Escape", "Esc");
}
