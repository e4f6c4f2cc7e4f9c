/** Two runs side by side: whether the second is better, and their losses. */
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import type { Run, RunComparison } from "../../api.js";
import { compareRuns, getRun } from "../api/client.js";
import { addressOf } from "../state/address.js";
import { attempt } from "../state/messages.js";
import { ScoreChange } from "./controls.js";
import { Curves, ScoreCurve } from "./curves.js";

/** A part of a comparison, which is `Comparison` of lib/stats/compare.ts. */
interface Paired {
  unit: string;
  n: number;
  metrics: Record<
    string,
    {
      difference: { mean: number; ci95T: [number, number] | null; ci95Bootstrap: [number, number] | null };
      pHolm: number | null;
      verdict: string;
    }
  >;
  notes: string[];
}

const comparison = signal<RunComparison | null>(null);
const both = signal<readonly Run[]>([]);

const metricNames: Record<string, string> = {
  f1: "F1",
  ap50: "AP at IoU 0.5",
  meanAp: "Mean AP",
  pq: "PQ",
  meanPromptIou: "IoU, true boxes",
};

export function ComparePage({ a, b }: { a: string; b: string }): JSX.Element {
  useEffect(() => {
    comparison.value = null;
    both.value = [];
    void attempt(async () => {
      both.value = await Promise.all([getRun(a), getRun(b)]);
    });
    void attempt(async () => {
      comparison.value = await compareRuns(a, b);
    });
  }, [a, b]);
  const { folds, images, notes = [] } = comparison.value ?? {};
  return (
    <main class="compare">
      <section class="panel">
        <h2>
          {b} against {a}
        </h2>
        <p class="soft small">
          <a href={addressOf({ page: "runs", run: null })}>All runs</a>. Changes are from {a} to {b}, each image or fold with
          the same weight.
        </p>
        {[folds, images].map(
          (part) => part && <PairedTable key={(part as unknown as Paired).unit} part={part as unknown as Paired} />,
        )}
        {notes.map((note) => (
          <p key={note} class="soft small">
            {note}
          </p>
        ))}
      </section>
      <div class="two">
        {both.value.map((run) => (
          <section key={run.name} class="panel">
            <h2 class="file">
              <a href={addressOf({ page: "runs", run: run.name })}>{run.name}</a>
            </h2>
            <p class="number">
              F1 held out <ScoreChange before={run.f1Before} after={run.f1} />
            </p>
            <Curves epochs={run.epochs} height={190} />
            <ScoreCurve epochs={run.epochs} before={run.f1Before} height={150} />
          </section>
        ))}
      </div>
    </main>
  );
}

function PairedTable({ part: { unit, n, metrics, notes } }: { part: Paired }): JSX.Element {
  return (
    <div class="scroll">
      <table>
        <caption>
          {n} {unit}s{notes.length > 0 && `; ${notes.join("; ")}`}
        </caption>
        <thead>
          <tr>
            {["Score", "Change", "95 % interval", "p (Holm)", "The second is"].map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {Object.entries(metrics).map(([name, { difference, pHolm, verdict }]) => {
            const interval = unit === "fold" ? difference.ci95T : difference.ci95Bootstrap;
            return (
              <tr key={name}>
                <th scope="row">{metricNames[name] ?? name}</th>
                <td class="number">{signed(difference.mean)}</td>
                <td class="number">{interval ? `${signed(interval[0])} to ${signed(interval[1])}` : "–"}</td>
                <td class="number">{pHolm === null ? "–" : pHolm < 0.001 ? "< 0.001" : pHolm.toFixed(3)}</td>
                <td>{verdict}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

/** 0.031 -> "+0.031" */
function signed(value: number | null): string {
  return value === null ? "–" : `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;
}
