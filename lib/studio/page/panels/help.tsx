/** The help sheet: the loop in four lines, and all keys. */
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { helpShown } from "../commands/actions.js";
import { keymap, shown } from "../commands/keymap.js";
import { Icon } from "./icons.js";

export function HelpSheet(): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (helpShown.value) dialog.current?.showModal();
    else dialog.current?.close();
  }, [helpShown.value]);
  const close = () => {
    helpShown.value = false;
  };
  return (
    <dialog
      ref={dialog}
      class="help"
      aria-labelledby="help-title"
      onClose={close}
      onKeyDown={({ key }) => key === "?" && close()}
    >
      <div class="panel-head">
        <h2 id="help-title">Keys</h2>
        <button type="button" class="tool" aria-label="Close" onClick={close}>
          <Icon name="close" />
        </button>
      </div>
      <p class="soft">
        Predict, correct some images and mark them as corrected, train on them, use the new model. Scroll or pinch to zoom; drag
        with the middle button, or with the space bar down, to move with any tool. Everything is saved as you draw.
      </p>
      <div class="sheets">
        {Object.entries(keymap).map(([group, bindings]) => (
          <section key={group}>
            <h3>{group}</h3>
            <dl>
              {bindings.map(({ keys, command, does }) => (
                <div key={command}>
                  <dt>
                    {keys.map((key) => (
                      <kbd key={key}>{shown(key)}</kbd>
                    ))}
                  </dt>
                  <dd>{does}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </dialog>
  );
}
