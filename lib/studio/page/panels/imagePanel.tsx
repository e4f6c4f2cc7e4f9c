/** The open image: its state, where its labels come from, and what is left to review. */
import type { JSX } from "preact";
import { cells, unreviewed, view } from "../state/image.js";
import { predictThis, setDone, takeOwnMasks, takePrediction } from "../state/loop.js";
import { images, predicting } from "../state/server.js";
import { CommandButton, ScoreChange, score } from "./controls.js";
import { counted } from "./numbers.js";

export function ImagePanel(): JSX.Element | null {
  const image = view.value;
  const row = images.value.find(({ id }) => id === image?.id);
  if (!image || !row) return null;
  const empty = cells.value.size === 0;
  return (
    <section class="panel" aria-labelledby="image-title">
      <h2 id="image-title" class="file" title={image.name}>
        {image.name}
      </h2>
      <p class="soft small number">
        {image.width.toLocaleString("en")} × {image.height.toLocaleString("en")} px, {counted(image.channels.length, "channel")}
        {row.score !== null && `, mean score ${score(row.score)}`}
      </p>
      {row.f1 !== null && (
        <p class="number small" title="F1 at IoU 0.5 against your corrections, of the model before and this one">
          F1 <ScoreChange before={row.f1Before} after={row.f1} />
        </p>
      )}
      <div class="buttons">
        <button
          type="button"
          class={empty ? "primary" : ""}
          disabled={predicting.value !== undefined}
          onClick={predictThis}
          title="Predict this image (P)"
        >
          Predict
        </button>
        {image.prediction && (
          <button type="button" onClick={takePrediction} title="Labels become what the model predicts; Ctrl+Z brings them back">
            Take prediction
          </button>
        )}
        {image.ownMasks && (
          <button type="button" onClick={takeOwnMasks} title="Labels become your own masks; their file is never changed">
            Take own masks
          </button>
        )}
      </div>
      <Review />
      <button
        type="button"
        class={image.done ? "wide done" : "wide primary"}
        onClick={() => void setDone(!image.done)}
        disabled={empty && !image.done}
        title="Ctrl+Enter"
        aria-pressed={image.done}
      >
        {image.done ? `✓ Corrected: ${row.split === "validation" ? "held out" : "used for training"}` : "Mark as corrected"}
      </button>
    </section>
  );
}

function Review(): JSX.Element | null {
  const left = unreviewed.value.length;
  if (left === 0) return null;
  return (
    <div class="review">
      <span class="number">{counted(left, "cell")} to review</span>
      <CommandButton command="next cell" label="Next" />
      <CommandButton command="accept all" label="Accept all" />
    </div>
  );
}
