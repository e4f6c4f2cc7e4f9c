/** The page as a whole. */
import type { JSX } from "preact";
import { ComparePage } from "./panels/comparePage.js";
import { Choice } from "./panels/controls.js";
import { HelpSheet } from "./panels/help.js";
import { ImageList } from "./panels/imageList.js";
import { ImagePanel } from "./panels/imagePanel.js";
import { LoopPanel } from "./panels/loopPanel.js";
import { Messages } from "./panels/messages.js";
import { RunsPage } from "./panels/runsPage.js";
import { Stage } from "./panels/stage.js";
import { StatusLine } from "./panels/statusLine.js";
import { ConnectionBanner, TopBar } from "./panels/topBar.js";
import { ViewPanel } from "./panels/viewPanel.js";
import { route } from "./state/route.js";
import { narrowPanel } from "./state/settings.js";

export function App(): JSX.Element {
  const at = route.value;
  return (
    <>
      <TopBar />
      <ConnectionBanner />
      {at.page === "compare" ? <ComparePage a={at.a} b={at.b} /> : at.page === "runs" ? <RunsPage /> : <Workbench />}
      <Messages />
      <HelpSheet />
    </>
  );
}

/** Image list, image, and panels; a narrow screen shows one panel at a time, below the image. */
function Workbench(): JSX.Element {
  return (
    <main class={`workbench shows-${narrowPanel.value}`}>
      <Stage />
      <StatusLine />
      <div class="narrow-choice">
        <Choice
          legend="Panel"
          value={narrowPanel.value}
          options={[
            { value: "images", label: "Images" },
            { value: "view", label: "View" },
            { value: "loop", label: "Loop" },
          ]}
          onChange={(panel) => {
            narrowPanel.value = panel;
          }}
        />
      </div>
      <ImageList />
      <aside class="side" aria-label="Image, view and loop">
        <div class="of-view">
          <ImagePanel />
          <ViewPanel />
        </div>
        <LoopPanel />
      </aside>
    </main>
  );
}
