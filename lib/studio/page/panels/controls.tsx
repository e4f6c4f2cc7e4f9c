/** Controls that several panels have. */
import type { ComponentChildren, JSX } from "preact";
import { run } from "../commands/actions.js";
import { type Command, keyFor } from "../commands/keymap.js";

/** A button for a command, whose tooltip has its key. */
export function CommandButton(props: {
  command: Command;
  label: string;
  children?: ComponentChildren;
  disabled?: boolean;
  pressed?: boolean;
  kind?: "primary" | "danger" | "tool";
}): JSX.Element {
  const { command, label, children, disabled = false, pressed, kind } = props;
  const key = keyFor(command);
  return (
    <button
      type="button"
      class={kind}
      disabled={disabled}
      title={`${label} (${key})`}
      aria-label={children ? label : undefined}
      aria-keyshortcuts={key}
      aria-pressed={pressed}
      onClick={() => run(command)}
    >
      {children ?? label}
    </button>
  );
}

/** A few values of which one is chosen. */
export function Choice<Value extends string>(props: {
  legend: string;
  value: Value;
  options: readonly { value: Value; label: string; disabled?: boolean; title?: string }[];
  onChange: (value: Value) => void;
}): JSX.Element {
  const { legend, value, options, onChange } = props;
  return (
    <fieldset class="choice">
      <legend class="unseen">{legend}</legend>
      {options.map((option) => (
        <label key={option.value} title={option.title} class={option.disabled ? "off" : ""}>
          <input
            type="radio"
            name={legend}
            checked={option.value === value}
            disabled={option.disabled}
            onChange={() => onChange(option.value)}
          />
          <span>{option.label}</span>
        </label>
      ))}
    </fieldset>
  );
}

export function Check(props: {
  label: string;
  checked: boolean;
  onChange: (checked: boolean) => void;
  hint?: string;
}): JSX.Element {
  return (
    <label class="check" title={props.hint}>
      <input type="checkbox" checked={props.checked} onChange={({ currentTarget }) => props.onChange(currentTarget.checked)} />
      <span>{props.label}</span>
    </label>
  );
}

export function Slider(props: {
  label: string;
  value: number;
  min: number;
  max: number;
  step: number;
  shown: string;
  onInput: (value: number) => void;
}): JSX.Element {
  const { label, shown, onInput, ...range } = props;
  return (
    <label class="slider">
      <span>{label}</span>
      <input
        type="range"
        {...range}
        aria-valuetext={shown}
        onInput={({ currentTarget }) => onInput(currentTarget.valueAsNumber)}
      />
      <output>{shown}</output>
    </label>
  );
}

export function Progress({ label, done, total }: { label: string; done: number; total: number }): JSX.Element {
  return (
    <div class="progress">
      <progress aria-label={label} value={total > 0 ? done : undefined} max={Math.max(1, total)} />
      <span class="number">
        {done}/{total}
      </span>
    </div>
  );
}

/** 0.8421 -> "0.84"; "–" where there is none. */
export function score(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : value.toFixed(2);
}

/** A score before and after, with the difference of the numbers that are shown. */
export function ScoreChange({ before, after }: { before: number | null; after: number | null }): JSX.Element {
  const difference = before !== null && after !== null ? Number(score(after)) - Number(score(before)) : null;
  const direction = difference === null || Math.abs(difference) < 0.005 ? "same" : difference > 0 ? "better" : "worse";
  return (
    <span class="score-change">
      {before !== null && (
        <>
          <span class="soft">{score(before)}</span>
          <span class="soft" aria-hidden="true">
            {" → "}
          </span>
          <span class="unseen"> to </span>
        </>
      )}
      <strong>{score(after)}</strong>
      {difference !== null && (
        <span class={direction}>
          {" "}
          {difference >= 0 ? "+" : "−"}
          {Math.abs(difference).toFixed(2)}
        </span>
      )}
    </span>
  );
}
