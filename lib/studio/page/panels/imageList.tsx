/** The images of the folder, with their states and scores. */
import { computed } from "@preact/signals";
import type { JSX } from "preact";
import type { ImageRow } from "../../api.js";
import { thumbnail } from "../api/client.js";
import { addressOf } from "../state/address.js";
import { view } from "../state/image.js";
import { images, server } from "../state/server.js";
import { listOrder } from "../state/settings.js";
import { ScoreChange, score } from "./controls.js";
import { counted } from "./numbers.js";

const states = {
  none: "no labels",
  own: "own masks",
  predicted: "predicted",
  edited: "edited",
  corrected: "corrected",
} as const;

const ordered = computed<readonly ImageRow[]>(() => {
  const rows = [...images.value];
  const last = Number.MAX_VALUE;
  if (listOrder.value === "next") return rows.sort((a, b) => (a.next ?? last) - (b.next ?? last) || a.id - b.id);
  if (listOrder.value === "score")
    return rows.sort((a, b) => (a.f1 ?? a.score ?? last) - (b.f1 ?? b.score ?? last) || a.id - b.id);
  return rows;
});

export function ImageList(): JSX.Element {
  return (
    <nav class="images" aria-label="Images">
      <div class="panel-head">
        <h2>Images</h2>
        <label>
          <span class="unseen">Order</span>
          <select
            value={listOrder.value}
            onChange={({ currentTarget }) => {
              listOrder.value = currentTarget.value as "name" | "next" | "score";
            }}
          >
            <option value="name">By name</option>
            <option value="next">Correct next first</option>
            <option value="score">Lowest score first</option>
          </select>
        </label>
      </div>
      <ol tabIndex={-1}>
        {ordered.value.map((row) => (
          <Row key={row.id} row={row} open={view.value?.id === row.id} />
        ))}
      </ol>
      {images.value.length === 0 && <p class="soft pad">No images in this folder.</p>}
      {listOrder.value === "next" && <p class="soft pad small">{server.value?.nextRule}</p>}
    </nav>
  );
}

function Row({ row, open }: { row: ImageRow; open: boolean }): JSX.Element {
  const { id, name, problem, state, split, cells } = row;
  if (problem) {
    return (
      <li class="row broken" title={problem}>
        <span class="thumb" />
        <span class="name">{name}</span>
        <span class="chip warn">cannot be read</span>
      </li>
    );
  }
  return (
    <li class="row">
      <a href={addressOf({ page: "image", image: id })} aria-current={open ? "true" : undefined}>
        <img class="thumb" src={thumbnail(row)} alt="" loading="lazy" decoding="async" fetchpriority="low" />
        <span class="name" title={name}>
          {name}
        </span>
        <span class="facts">
          <span class={`chip ${state}`}>{states[state]}</span>
          {split && <span class={`chip ${split}`}>{split === "validation" ? "held out" : split}</span>}
          {row.next !== null && row.next <= 3 && (
            <span class="chip next">{row.next === 1 ? "correct next" : `next ${row.next}`}</span>
          )}
        </span>
        <span class="scores number">
          {cells !== null && cells > 0 && <span class="soft">{counted(cells, "cell")}</span>}
          {row.f1 !== null ? (
            <span
              title={`F1 at IoU 0.5 against your corrections${row.f1Before === null ? "" : ", of the model before and this one"}`}
            >
              F1 <ScoreChange before={row.f1Before} after={row.f1} />
            </span>
          ) : (
            row.score !== null && <span title="Mean score that the model gave its cells">score {score(row.score)}</span>
          )}
        </span>
      </a>
    </li>
  );
}
