/** The tools beside the canvas. */
import type { JSX } from "preact";
import type { Command } from "../commands/keymap.js";
import { view } from "../state/image.js";
import { tool } from "../state/settings.js";
import { tools } from "../tools/all.js";
import { CommandButton } from "./controls.js";
import { Icon } from "./icons.js";

export function Toolbar(): JSX.Element {
  const { undo = 0, redo = 0 } = view.value ?? {};
  return (
    <div class="toolbar" role="toolbar" aria-label="Tools">
      {tools.map(({ name, title }) => (
        <CommandButton key={name} command={`tool ${name}` as Command} label={title} pressed={tool.value === name} kind="tool">
          <Icon name={name} />
        </CommandButton>
      ))}
      <span class="gap" />
      <CommandButton command="undo" label="Undo" disabled={undo === 0} kind="tool">
        <Icon name="undo" />
      </CommandButton>
      <CommandButton command="redo" label="Redo" disabled={redo === 0} kind="tool">
        <Icon name="redo" />
      </CommandButton>
    </div>
  );
}
