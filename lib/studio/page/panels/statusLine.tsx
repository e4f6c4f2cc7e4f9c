/** The line below the image: what the tool does, where the pointer is, how many cells, whether all is saved. */
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { unsaved } from "../state/edits.js";
import { cells, unreviewed, view } from "../state/image.js";
import { remark } from "../state/messages.js";
import { latency, proposal } from "../state/proposal.js";
import { connection } from "../state/server.js";
import { layer } from "../state/settings.js";
import { activeTool } from "../tools/all.js";
import { pointed } from "../viewer/gestures.js";
import { viewer } from "../viewer/stage.js";
import { counted } from "./numbers.js";

/** The magnification, as it is shown. */
export const zoom = signal("");

export function StatusLine(): JSX.Element | null {
  const image = view.value;
  if (!image) return null;
  const review = unreviewed.value.length;
  return (
    <footer class="status">
      <span class="hint">{remark.value ?? activeTool.value.hint}</span>
      {latency.value !== null && proposal.value && (
        <span class="number soft" title="From the last click to its proposal">
          {Math.round(latency.value)} ms
        </span>
      )}
      <Position />
      <span class="number" role="status">
        {counted(cells.value.size, "cell")}
        {review > 0 && <span class="soft">, {review.toLocaleString("en")} to review</span>}
      </span>
      <Saved />
    </footer>
  );
}

function Position(): JSX.Element {
  const [x, y] = pointed.value ?? [];
  const under = pointed.value ? (viewer.value?.cellAt(pointed.value) ?? 0) : 0;
  // A tile may still show a cell that is gone.
  const cell = layer.value !== "labels" || cells.value.has(under) ? under : 0;
  return (
    <span class="number soft position">
      {x !== undefined && y !== undefined ? `${Math.floor(x)}, ${Math.floor(y)}${cell ? `  cell ${cell}` : ""}` : ""}
    </span>
  );
}

function Saved(): JSX.Element {
  const waiting = unsaved.value;
  if (waiting === 0) return <span class="saved">Saved</span>;
  const gone = connection.value !== "open";
  return (
    <span class={gone ? "saved waiting" : "saved"}>{gone ? `${counted(waiting, "edit")} not saved yet` : "Saving …"}</span>
  );
}
