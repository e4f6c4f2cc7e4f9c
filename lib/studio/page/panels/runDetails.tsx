/** One run: its curves, scores, memory, settings and log. */
import type { JSX } from "preact";
import type { Memory, Run } from "../../api.js";
import { reportAddress } from "../api/client.js";
import { BEGINNING, resume, stop, useModel } from "../state/loop.js";
import { log } from "../state/runs.js";
import { server, training } from "../state/server.js";
import { Progress, ScoreChange } from "./controls.js";
import { Curves, ScoreCurve } from "./curves.js";
import { bytes, duration } from "./numbers.js";

export function RunDetails({ run }: { run: Run }): JSX.Element {
  const { name, state, epochs, done, total, f1, f1Before, trainImages, valImages, message } = run;
  const seconds = epochs.reduce((sum, epoch) => sum + epoch.seconds, 0);
  return (
    <article class="run" aria-labelledby="run-title">
      <section class="panel">
        <div class="panel-head">
          <h2 id="run-title" class="file">
            {name} <span class={`chip ${state}`}>{state}</span>
          </h2>
          <RunButtons run={run} />
        </div>
        {message && <p class="warn">{message}</p>}
        <dl class="facts">
          <Fact name="F1 held out">
            <ScoreChange before={f1Before} after={f1} />
          </Fact>
          <Fact name="Images">
            {trainImages ?? "–"} training, {valImages ?? "–"} held out
          </Fact>
          <Fact name="Time in epochs">{duration(seconds)}</Fact>
          <Fact name="Now">{state === "running" ? nowOf(run) : "–"}</Fact>
        </dl>
        <Progress label={`Epochs of ${name}`} done={done} total={total} />
      </section>
      <section class="panel" aria-labelledby="curves-title">
        <h2 id="curves-title">Curves</h2>
        <Curves epochs={epochs} height={230} />
        <ScoreCurve epochs={epochs} before={f1Before} height={180} />
      </section>
      {server.value && <MemoryPanel memory={server.value.memory} />}
      <section class="panel" aria-labelledby="log-title">
        <h2 id="log-title">Log</h2>
        <textarea class="log" readOnly rows={14} aria-labelledby="log-title" value={log.value || "Nothing yet."} />
        <details>
          <summary>Settings</summary>
          <textarea class="log" readOnly rows={14} aria-label="Settings" value={JSON.stringify(run.config, null, 2)} />
        </details>
      </section>
    </article>
  );
}

/** What a run that is trained does. */
function nowOf({ steps, done }: Run): string {
  const step = steps.at(-1);
  if (step) return `stage ${step.stage}, epoch ${step.epoch}, batch ${step.step}/${step.steps}`;
  return done === 0 ? BEGINNING : "–";
}

function RunButtons({ run: { name, state, report, weights } }: { run: Run }): JSX.Element {
  const studio = server.value?.mode === "studio";
  return (
    <div class="buttons">
      {report && (
        <a class="button" href={reportAddress(name)} target="_blank" rel="noopener">
          Report
        </a>
      )}
      {state === "running" && (
        <button type="button" onClick={() => void stop(name)}>
          Stop
        </button>
      )}
      {studio && (state === "stopped" || state === "failed") && (
        <button type="button" disabled={training.value !== undefined} onClick={() => void resume(name)}>
          Resume
        </button>
      )}
      {studio && weights && state !== "running" && (
        <button type="button" class="primary" disabled={server.value?.model.run === name} onClick={() => void useModel(name)}>
          {server.value?.model.run === name ? "In use" : state === "finished" ? "Use this model" : "Use what it learned"}
        </button>
      )}
    </div>
  );
}

function Fact({ name, children }: { name: string; children: preact.ComponentChildren }): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd class="number">{children}</dd>
    </div>
  );
}

function MemoryPanel({ memory: { server: ofServer, training: ofTraining, gpus } }: { memory: Memory }): JSX.Element {
  return (
    <section class="panel" aria-labelledby="memory-title">
      <h2 id="memory-title">Memory</h2>
      <dl class="facts">
        <Fact name="Server">{bytes(ofServer)}</Fact>
        <Fact name="Training">{ofTraining === null ? "–" : bytes(ofTraining)}</Fact>
        {gpus.map(({ name, used, total }) => (
          <Fact key={name} name={name}>
            {bytes(used)} of {bytes(total)}
          </Fact>
        ))}
      </dl>
    </section>
  );
}
