/** The loop: predict, correct, train, use the new model, and again. */
import type { JSX } from "preact";
import { cancelJob } from "../api/client.js";
import { addressOf } from "../state/address.js";
import { view } from "../state/image.js";
import {
  BEGINNING,
  LEAST_CORRECTED,
  openNextToCorrect,
  predict,
  predictThis,
  resume,
  stop,
  train,
  trainOptions,
  useModel,
} from "../state/loop.js";
import { attempt } from "../state/messages.js";
import { newestRuns, run as openRun } from "../state/runs.js";
import { images, predicting, server, toCorrect, training, unpredicted } from "../state/server.js";
import { Choice, Progress, ScoreChange } from "./controls.js";
import { Curves, ScoreCurve } from "./curves.js";
import { counted, duration } from "./numbers.js";

export function LoopPanel(): JSX.Element | null {
  if (!server.value) return null;
  return (
    <section class="panel loop" aria-labelledby="loop-title">
      <h2 id="loop-title">Loop</h2>
      <ol class="steps">
        <PredictStep />
        <CorrectStep />
        <TrainStep />
        <UseStep />
      </ol>
    </section>
  );
}

function PredictStep(): JSX.Element {
  const job = predicting.value;
  return (
    <li>
      <h3>Predict</h3>
      {unpredicted.value > 0 && !job && (
        <p class="small warn">
          {counted(unpredicted.value, "image")} without labels: predict with the model in use. <em>Before</em>, over the image,
          still shows the predictions of the model before.
        </p>
      )}
      {job ? (
        <div class="job">
          <Progress label={job.title} done={job.done} total={job.total} />
          <button type="button" onClick={() => void attempt(() => cancelJob(job.id))}>
            Cancel
          </button>
        </div>
      ) : (
        <div class="buttons">
          <button type="button" disabled={!view.value} onClick={predictThis}>
            This image
          </button>
          <button type="button" onClick={() => void predict("uncorrected")} title="All images that are not marked as corrected">
            All uncorrected
          </button>
          <button type="button" onClick={() => void predict("all")}>
            All
          </button>
        </div>
      )}
    </li>
  );
}

function CorrectStep(): JSX.Element {
  const rows = images.value;
  const count = (split: "training" | "validation") => rows.filter((row) => row.split === split).length;
  const corrected = rows.filter(({ state }) => state === "corrected").length;
  const [first] = toCorrect.value;
  const next = rows.find(({ id }) => id === first);
  return (
    <li>
      <h3>Correct</h3>
      <p class="small number">
        <strong>{corrected}</strong> of {counted(rows.length, "image")} corrected
        {corrected > 0 && (
          <span class="soft" title={server.value?.splitRule}>
            : {count("training")} for training, {count("validation")} held out
          </span>
        )}
      </p>
      {next && (
        <button type="button" class="wide next-image" onClick={openNextToCorrect} title={server.value?.nextRule}>
          <span class="soft">Next</span> <span class="file">{next.name}</span>
        </button>
      )}
    </li>
  );
}

function TrainStep(): JSX.Element {
  const job = training.value;
  return (
    <li>
      <h3>Train</h3>
      {job?.run ? <Training name={job.run} done={job.done} total={job.total} waits={job.state === "waiting"} /> : <TrainForm />}
    </li>
  );
}

function TrainForm(): JSX.Element {
  const corrected = images.value.filter(({ state }) => state === "corrected").length;
  const { preset, epochs, from } = trainOptions.value;
  const presets = server.value?.presets ?? [];
  const ofPreset = presets.find(({ name }) => name === preset)?.epochs.join(" + ") ?? "";
  const set = (change: Partial<typeof trainOptions.value>) => {
    trainOptions.value = { ...trainOptions.value, ...change };
  };
  const enough = corrected >= LEAST_CORRECTED;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void train();
      }}
    >
      <div class="fields">
        <label>
          <span>Preset</span>
          <select value={preset} onChange={({ currentTarget }) => set({ preset: currentTarget.value })}>
            {presets.map(({ name }) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        <label>
          <span>Epochs per stage</span>
          <input
            type="number"
            min={1}
            max={100_000}
            placeholder={ofPreset}
            title={`A number is for both stages; without one the preset's: ${ofPreset}`}
            value={epochs ?? ""}
            onInput={({ currentTarget }) => set({ epochs: currentTarget.valueAsNumber || null })}
          />
        </label>
      </div>
      <Choice
        legend="Begin with"
        value={from}
        options={[
          { value: "current", label: "Model in use" },
          { value: "default", label: "First model" },
        ]}
        onChange={(value) => set({ from: value })}
      />
      <button type="submit" class="wide primary" disabled={!enough} title="Shift+T">
        {enough ? `Train on ${counted(corrected, "corrected image")}` : `Correct ${LEAST_CORRECTED - corrected} more to train`}
      </button>
    </form>
  );
}

function Training({ name, done, total, waits }: { name: string; done: number; total: number; waits: boolean }): JSX.Element {
  const open = openRun.value?.name === name ? openRun.value : null;
  const step = open?.steps.at(-1);
  const epoch = open?.epochs.at(-1);
  return (
    <div class="training">
      <p class="small">
        <a href={addressOf({ page: "runs", run: name })}>{name}</a>
        <span class="soft number">
          {waits
            ? " waits"
            : step
              ? `, stage ${step.stage}, epoch ${step.epoch}, batch ${step.step} of ${step.steps}${epoch?.stage === step.stage ? `; ${duration(epoch.seconds)} an epoch` : ""}`
              : done === 0
                ? `: ${BEGINNING}`
                : ""}
        </span>
      </p>
      <div class="job">
        <Progress label={`Epochs of ${name}`} done={done} total={total} />
        <button type="button" onClick={() => void stop(name)} title="Ends after this batch; it can be resumed">
          Stop
        </button>
      </div>
      {open && <ScoreCurve epochs={open.epochs} before={open.f1Before} height={100} />}
      {open && <Curves epochs={open.epochs} height={130} newest />}
    </div>
  );
}

/** Of fewer images not even a change of all in one direction tells models apart: by chance, 2 / 2^5 (sign test) is above 0.05. */
const FEWEST_TO_JUDGE = 6;

/** What follows from a score that is lower after the training. */
function WorseNote({ images }: { images: number }): JSX.Element {
  return (
    <p class="small warn">
      {images < FEWEST_TO_JUDGE
        ? `Worse on ${counted(images, "held-out image")}: too few to tell. Correct more images, of which about every fourth is held out, or use it and compare its predictions (T).`
        : "Worse on held-out images: train longer, or on more of them, before you use it."}
    </p>
  );
}

/** The newest run that has ended: its scores, and what to do with it. */
function UseStep(): JSX.Element | null {
  const last = newestRuns.value.find(({ state }) => state !== "running");
  if (!last || !server.value) return null;
  const { name, state, weights, f1, f1Before, valImages, message } = last;
  const { model } = server.value;
  const worse = f1 !== null && f1Before !== null && f1 < f1Before;
  return (
    <li>
      <h3>Use</h3>
      <p class="small">
        <a href={addressOf({ page: "runs", run: name })}>{name}</a> <span class={`chip ${state}`}>{state}</span>
      </p>
      {f1 !== null && (
        <p class="big-score number" title="F1 at IoU 0.5 on held-out corrected images, before and after the training">
          <span class="soft small">F1 held out</span> <ScoreChange before={f1Before} after={f1} />
        </p>
      )}
      {worse && <WorseNote images={valImages ?? 0} />}
      {message && <p class="small warn">{message}</p>}
      {(state === "stopped" || state === "failed") && (
        <button type="button" class="wide" disabled={training.value !== undefined} onClick={() => void resume(name)}>
          Resume
        </button>
      )}
      {weights &&
        (model.run === name ? (
          <p class="small soft">In use: it predicts and answers clicks.</p>
        ) : (
          <button
            type="button"
            class={worse || state !== "finished" ? "wide" : "wide primary"}
            onClick={() => void useModel(name)}
          >
            {state === "finished" ? "Use the new model" : "Use what it learned"}
          </button>
        ))}
      {!weights && state === "stopped" && (
        <p class="small soft">It ended before its first epoch did: resume it to have a model to use.</p>
      )}
      {model.run !== "default" && (
        <button type="button" class="quiet" onClick={() => void useModel("default")}>
          Back to the first model
        </button>
      )}
    </li>
  );
}
