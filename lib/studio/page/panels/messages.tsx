/** Messages in the corner. */
import type { JSX } from "preact";
import { dismiss, messages } from "../state/messages.js";
import { Icon } from "./icons.js";

export function Messages(): JSX.Element {
  return (
    <div class="messages" role="log" aria-live="polite" aria-label="Messages">
      {messages.value.map(({ id, kind, text, action }) => (
        <div key={id} class={`message ${kind}`}>
          <span>{text}</span>
          {action && (
            <button
              type="button"
              onClick={() => {
                dismiss(id);
                action.run();
              }}
            >
              {action.label}
            </button>
          )}
          <button type="button" class="tool" aria-label="Close the message" onClick={() => dismiss(id)}>
            <Icon name="close" />
          </button>
        </div>
      ))}
    </div>
  );
}
