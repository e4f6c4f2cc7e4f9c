/** The bar above everything: what is open, which model, whether the server is there. */
import type { JSX } from "preact";
import { addressOf } from "../state/address.js";
import { view } from "../state/image.js";
import { route } from "../state/route.js";
import { connection, server } from "../state/server.js";
import { CommandButton } from "./controls.js";
import { Icon } from "./icons.js";
import { bytes } from "./numbers.js";

export function TopBar(): JSX.Element {
  const { data = "", mode, model, memory } = server.value ?? {};
  const onRuns = route.value.page !== "image";
  return (
    <header class="top">
      <h1>
        <svg viewBox="0 0 24 24" class="mark" aria-hidden="true">
          <circle cx="9" cy="10" r="6.2" />
          <circle cx="16" cy="15" r="5.2" />
        </svg>
        <span class="product">
          <span class="first">cellsam </span>studio
        </span>
        <span class="data" title={data}>
          {data}
        </span>
      </h1>
      <nav aria-label="Pages">
        {mode !== "runs" && (
          <a href={addressOf({ page: "image", image: view.value?.id ?? null })} aria-current={onRuns ? undefined : "page"}>
            Images
          </a>
        )}
        <a href="#runs" aria-current={onRuns ? "page" : undefined}>
          Runs
        </a>
      </nav>
      <div class="facts">
        {model && mode !== "runs" && (
          <span class="model" title="The model that predicts and answers clicks">
            <span class="soft">Model </span>
            {model.label}
          </span>
        )}
        {memory && (
          <span class="soft number memory" title="Memory of the server">
            {bytes(memory.server)}
          </span>
        )}
        <span class={`connection ${connection.value}`}>
          {{ opening: "Connecting", open: "Connected", lost: "No server", "signed-out": "Signed out" }[connection.value]}
        </span>
      </div>
      <CommandButton command="help" label="Keys and help" kind="tool">
        <Icon name="help" />
      </CommandButton>
    </header>
  );
}

/** Above the page while the server is not there. */
export function ConnectionBanner(): JSX.Element | null {
  if (connection.value === "lost") {
    return (
      <div class="banner" role="alert">
        The server does not answer. What you draw is kept here and saved when it is back; this page tries again every second.
      </div>
    );
  }
  if (connection.value === "signed-out") {
    return (
      <div class="banner" role="alert">
        The server was started again with another token. Open the address that it printed, in this browser: then this page goes
        on, and what you drew is saved.
      </div>
    );
  }
  const problem = server.value?.modelError;
  return problem ? (
    <div class="banner" role="alert">
      The model cannot be used: {problem}
    </div>
  ) : null;
}
