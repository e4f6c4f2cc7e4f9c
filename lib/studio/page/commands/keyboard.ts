/** Keys to commands. Fields, buttons and open dialogs keep the keys that are theirs. */
import { proposal } from "../state/proposal.js";
import { route } from "../state/route.js";
import { spaceDown } from "../viewer/gestures.js";
import { viewer } from "../viewer/stage.js";
import { run } from "./actions.js";
import { type Command, commandOf, keyOf } from "./keymap.js";

/** Keys that move the focus or press what has it. */
const ofControls = /^(Shift\+)?(Enter|Space|Arrow\w+)$/;
const elsewhere: readonly Command[] = ["help", "train"];

export function handleKeys(): void {
  addEventListener("keydown", (event) => {
    const key = keyOf(event);
    const target = event.target instanceof HTMLElement ? event.target : document.body;
    if (belongsTo(target, key)) return;
    const command = commandOf(key);
    if (!command || (route.value.page !== "image" && !elsewhere.includes(command))) return;
    event.preventDefault();
    if (key === "Space" && !viewer.value?.crosshair) {
      spaceDown.value = true;
      return;
    }
    if (event.repeat && !/crosshair|zoom|brush|fainter|stronger|undo|redo|image$|cell$/.test(command)) return;
    run(command, event.key);
  });
  addEventListener("keyup", ({ key }) => {
    if (key === " ") spaceDown.value = false;
  });
  addEventListener("blur", () => {
    spaceDown.value = false;
  });
}

function belongsTo(target: HTMLElement, key: string): boolean {
  if (target.closest("dialog[open]")) return true;
  if (target.matches("input:not([type=range], [type=checkbox], [type=radio], [type=color]), select, textarea")) return true;
  const canvas = target === viewer.value?.canvas || target === document.body;
  // Enter on a button presses it, unless a proposal waits for it.
  if (key === "Enter" && proposal.value && !target.matches("a, summary")) return false;
  return !canvas && ofControls.test(key);
}
