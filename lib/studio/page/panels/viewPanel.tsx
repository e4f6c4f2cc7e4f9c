/** How the open image is shown: channels, contrast, cells. */
import type { JSX } from "preact";
import type { ImageView } from "../../api.js";
import { channels, contrastOf, setChannel, view } from "../state/image.js";
import { areasShown, opacity, outlinesShown } from "../state/settings.js";
import type { ChannelDisplay } from "../viewer/contrast.js";
import { Check, Slider } from "./controls.js";

export function ViewPanel(): JSX.Element | null {
  const image = view.value;
  if (!image) return null;
  return (
    <section class="panel" aria-labelledby="view-title">
      <div class="panel-head">
        <h2 id="view-title">View</h2>
        <button
          type="button"
          class="quiet"
          title="Contrast and colours as at the beginning"
          onClick={() => {
            channels.value = contrastOf(image);
          }}
        >
          Reset
        </button>
      </div>
      {channels.value.map((channel, i) => (
        <Channel
          key={image.channels[i]?.name}
          index={i}
          channel={channel}
          facts={image.channels[i] as ImageView["channels"][number]}
        />
      ))}
      <div class="cells-shown">
        <Check
          label="Areas"
          hint="Areas of cells (L)"
          checked={areasShown.value}
          onChange={(checked) => {
            areasShown.value = checked;
          }}
        />
        <Check
          label="Outlines"
          hint="Outlines of cells (O)"
          checked={outlinesShown.value}
          onChange={(checked) => {
            outlinesShown.value = checked;
          }}
        />
      </div>
      <Slider
        label="Opacity"
        value={opacity.value}
        min={0}
        max={1}
        step={0.05}
        shown={`${Math.round(opacity.value * 100)} %`}
        onInput={(value) => {
          opacity.value = value;
        }}
      />
    </section>
  );
}

function Channel(props: { index: number; channel: ChannelDisplay; facts: ImageView["channels"][number] }): JSX.Element {
  const { index, channel, facts } = props;
  const { low, high, color, visible } = channel;
  const [min, max] = [Math.min(facts.min, low), Math.max(facts.max, high)];
  const step = stepOf(max - min);
  return (
    <div class={visible ? "channel" : "channel off"} title={`${tidy(low)} – ${tidy(high)}`}>
      <Check label={facts.name} checked={visible} onChange={(shown) => setChannel(index, { visible: shown })} />
      <div class="range" style={{ "--low": share(low, min, max), "--high": share(high, min, max) }}>
        <input
          type="range"
          aria-label={`Darkest value of ${facts.name}`}
          {...{ min, max, step }}
          value={low}
          onInput={({ currentTarget }) => setChannel(index, { low: Math.min(currentTarget.valueAsNumber, high - step) })}
        />
        <input
          type="range"
          aria-label={`Brightest value of ${facts.name}`}
          {...{ min, max, step }}
          value={high}
          onInput={({ currentTarget }) => setChannel(index, { high: Math.max(currentTarget.valueAsNumber, low + step) })}
        />
      </div>
      <input
        type="color"
        aria-label={`Colour of ${facts.name}`}
        value={`#${color}`}
        onInput={({ currentTarget }) => setChannel(index, { color: currentTarget.value.slice(1) })}
      />
    </div>
  );
}

/** Whole values, or a 500th of a narrow range. */
function stepOf(width: number): number {
  return width > 20 ? 1 : Math.max(width / 500, Number.EPSILON);
}

function share(value: number, min: number, max: number): number {
  return max > min ? (value - min) / (max - min) : 0;
}

function tidy(value: number): string {
  return Number(value.toPrecision(4)).toLocaleString("en", { maximumSignificantDigits: 4 });
}
