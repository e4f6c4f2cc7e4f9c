/** Over the canvas: what the tool can be told, the proposal, and what can be done with the selected cells. */
import type { JSX } from "preact";
import { run, setRadius } from "../commands/actions.js";
import { cells, selected, view } from "../state/image.js";
import { clearProposal, isAsking, prompt, proposal } from "../state/proposal.js";
import { overOthers, radius, tool } from "../state/settings.js";
import { Check, CommandButton, Slider, score } from "./controls.js";
import { counted } from "./numbers.js";

export function ToolOptions(): JSX.Element | null {
  if (!view.value) return null;
  const name = tool.value;
  const paints = name === "brush" || name === "eraser";
  const proposes = prompt.value.points.length > 0 || prompt.value.box !== null;
  const selects = !proposes && selected.value.size > 0;
  const grows = name === "brush" || ((name === "click" || name === "box") && !selects);
  const parts = [
    paints && (
      <Slider label="Radius" value={radius.value} min={1} max={60} step={1} shown={`${radius.value} px`} onInput={setRadius} />
    ),
    grows && (
      <Check
        label="Over other cells"
        hint="New and grown cells take the pixels of the cells that they touch"
        checked={overOthers.value}
        onChange={(checked) => {
          overOthers.value = checked;
        }}
      />
    ),
    proposes && <ProposalOptions />,
    selects && <SelectionOptions />,
  ].filter(Boolean);
  return parts.length > 0 ? <div class="options floating">{parts}</div> : null;
}

function ProposalOptions(): JSX.Element {
  return (
    <div class="group">
      <span class="number soft">
        {isAsking.value ? "Asking …" : proposal.value?.bounds ? `IoU ${score(proposal.value.score)}` : "No cell"}
      </span>
      <CommandButton command="accept proposal" label="Accept" kind="primary" disabled={!proposal.value?.bounds} />
      <button type="button" title="Clear (Esc)" onClick={clearProposal}>
        Clear
      </button>
    </div>
  );
}

function SelectionOptions(): JSX.Element {
  const count = selected.value.size;
  const [first = 0] = selected.value;
  const cell = count === 1 ? cells.value.get(first) : undefined;
  return (
    <div class="group">
      <span class="number" title={cell && `${cell.area.toLocaleString("en")} pixels`}>
        {cell ? `Cell ${cell.id}` : counted(count, "cell")}
        {cell && (
          <span class="soft">
            {cell.score !== null && ` score ${score(cell.score)},`} {cell.state}
          </span>
        )}
      </span>
      <CommandButton command="accept" label="Accept" />
      <CommandButton command="reject" label="Reject" />
      <button type="button" title="Delete (Delete)" onClick={() => run("delete")}>
        Delete
      </button>
      {count > 1 && <CommandButton command="merge" label="Merge" />}
    </div>
  );
}
