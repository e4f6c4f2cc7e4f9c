/** The canvas with what lies over it. */
import { effect } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { view } from "../state/image.js";
import { layer } from "../state/settings.js";
import { activeTool } from "../tools/all.js";
import { handlePointers, spaceDown } from "../viewer/gestures.js";
import { viewer } from "../viewer/stage.js";
import { Viewer } from "../viewer/viewer.js";
import { Choice, CommandButton } from "./controls.js";
import { Icon } from "./icons.js";
import { zoom } from "./statusLine.js";
import { Toolbar } from "./toolbar.js";
import { ToolOptions } from "./toolOptions.js";

export function Stage(): JSX.Element {
  const { name, prediction, before } = view.value ?? {};
  return (
    <section class="stage" aria-label="Image">
      <Toolbar />
      <div class="canvas">
        <Canvas label={name ? `Image ${name}. Arrow keys move a crosshair, Space clicks there.` : "No image is open"} />
        <ToolOptions />
        {!name && <p class="empty">Choose an image.</p>}
        {name && (
          <div class="floating layers">
            <Choice
              legend="Layer"
              value={layer.value}
              options={[
                { value: "labels", label: "Labels", title: "The cells as you have them (T)" },
                {
                  value: "prediction",
                  label: "Prediction",
                  disabled: !prediction,
                  title: "What the model in use predicts (T)",
                },
                { value: "before", label: "Before", disabled: !before, title: "What the model before predicted (T)" },
              ]}
              onChange={(value) => {
                layer.value = value;
              }}
            />
          </div>
        )}
        {name && (
          <div class="floating zoom">
            <CommandButton command="zoom out" label="Zoom out" kind="tool">
              <Icon name="minus" />
            </CommandButton>
            <CommandButton command="actual size" label={`${zoom.value}, actual size`} kind="tool">
              <span class="number">{zoom.value}</span>
            </CommandButton>
            <CommandButton command="zoom in" label="Zoom in" kind="tool">
              <Icon name="plus" />
            </CommandButton>
            <CommandButton command="fit" label="Fit the image" kind="tool">
              <Icon name="fit" />
            </CommandButton>
          </div>
        )}
      </div>
    </section>
  );
}

function Canvas({ label }: { label: string }): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const made = new Viewer(canvas.current as HTMLCanvasElement);
    made.onCamera = ({ scale }) => {
      zoom.value = percent(scale);
    };
    handlePointers(made);
    viewer.value = made;
    const ends = [effect(() => made.follow()), effect(() => made.followLabels())];
    return () => {
      for (const end of ends) end();
      viewer.value = null;
    };
  }, []);
  const { name, drags } = activeTool.value;
  const cursor = spaceDown.value ? "moving" : drags ? name : `pointing ${name}`;
  // biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: its keys are the page's, which is what this role says
  return <canvas ref={canvas} class={cursor} tabIndex={0} role="application" aria-label={label} />;
}

function percent(scale: number): string {
  const value = scale * 100;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} %`;
}
