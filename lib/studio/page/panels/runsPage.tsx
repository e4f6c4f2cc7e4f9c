/** All experiments of the folder, and the one that is looked at. */
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import type { RunRow } from "../../api.js";
import { addressOf } from "../state/address.js";
import { goTo, route } from "../state/route.js";
import { newestRuns, run as openRun } from "../state/runs.js";
import { training } from "../state/server.js";
import { ScoreChange } from "./controls.js";
import { RunDetails } from "./runDetails.js";

/** Names of the runs to compare, at most two. */
const chosen = signal<readonly string[]>([]);

export function RunsPage(): JSX.Element {
  const name = route.value.page === "runs" ? route.value.run : null;
  const [a, b] = chosen.value;
  // Its files, by which runs are found, are written once its process has started.
  const beginning = newestRuns.value.some((run) => run.name === training.value?.run) ? null : training.value?.run;
  return (
    <main class="runs">
      <section class="panel run-list" aria-labelledby="runs-title">
        <div class="panel-head">
          <h2 id="runs-title">Runs</h2>
          <button
            type="button"
            disabled={!a || !b}
            title="Choose two runs in the table"
            onClick={() => a && b && goTo({ page: "compare", a, b })}
          >
            Compare two
          </button>
        </div>
        {beginning && <p class="soft">{beginning} is about to begin.</p>}
        {newestRuns.value.length === 0 ? (
          !beginning && <p class="soft">No run yet.</p>
        ) : (
          <div class="scroll">
            <table>
              <thead>
                <tr>
                  <th scope="col">
                    <span class="unseen">Compare</span>
                  </th>
                  <th scope="col">Run</th>
                  <th scope="col">State</th>
                  <th scope="col">Epochs</th>
                  <th scope="col">F1 held out</th>
                </tr>
              </thead>
              <tbody>
                {newestRuns.value.map((row) => (
                  <Row key={row.name} row={row} open={row.name === name} />
                ))}
              </tbody>
            </table>
          </div>
        )}
      </section>
      {openRun.value && openRun.value.name === name ? (
        <RunDetails run={openRun.value} />
      ) : (
        <p class="soft pad">{name ? "Opening …" : "Choose a run to see its curves, memory and log."}</p>
      )}
    </main>
  );
}

function Row({ row, open }: { row: RunRow; open: boolean }): JSX.Element {
  const { name, state, done, total, f1, f1Before } = row;
  const isChosen = chosen.value.includes(name);
  return (
    <tr class={open ? "open" : ""}>
      <td>
        <input
          type="checkbox"
          aria-label={`Compare ${name}`}
          checked={isChosen}
          onChange={() => {
            chosen.value = isChosen ? chosen.value.filter((other) => other !== name) : [...chosen.value.slice(-1), name];
          }}
        />
      </td>
      <th scope="row">
        <a href={addressOf({ page: "runs", run: name })} aria-current={open ? "true" : undefined}>
          {name}
        </a>
      </th>
      <td>
        <span class={`chip ${state}`}>{state}</span>
      </td>
      <td class="number">
        {done}/{total}
      </td>
      <td class="number">{f1 === null ? <span class="soft">–</span> : <ScoreChange before={f1Before} after={f1} />}</td>
    </tr>
  );
}
