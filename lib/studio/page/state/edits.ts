/**
 * Edits on their way to the server, one after the other. One that finds no server waits for it, so that nothing drawn is lost
 * while a server is started again.
 */
import { computed, signal } from "@preact/signals";
import type { Edit, EditAnswer } from "../../api.js";
import * as api from "../api/client.js";
import { cells, editApplied, isOpen, showImageAgain, view } from "./image.js";
import { tell } from "./messages.js";
import { connection } from "./server.js";

/** The name by which events of this page's edits are known. */
export const client = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join(
  "",
);

interface Waiting {
  image: number;
  edit: Edit;
  /** The revision that it was sent with, when no answer came. */
  sent?: number;
  done: (answer: EditAnswer | null) => void;
}

const queue = signal<readonly Waiting[]>([]);
let busy = false;

/** Edits that the server has not confirmed. */
export const unsaved = computed(() => queue.value.length);

/** @returns the server's answer, or null where it refused the edit; the user has been told */
export function submit(edit: Edit): Promise<EditAnswer | null> {
  return view.value ? submitTo(view.value.id, edit) : Promise.resolve(null);
}

function submitTo(image: number, edit: Edit): Promise<EditAnswer | null> {
  return new Promise((done) => {
    queue.value = [...queue.value, { image, edit, done }];
    void work();
  });
}

/** Sends what waits. After a connection is there again it is called anew. */
export async function work(): Promise<void> {
  if (busy) return;
  busy = true;
  for (let first = queue.value[0]; first && connection.value !== "lost"; first = queue.value[0]) {
    const answer = await sent(first);
    if (answer === "later") break;
    queue.value = queue.value.slice(1);
    first.done(answer);
  }
  busy = false;
}

async function sent(waiting: Waiting): Promise<EditAnswer | null | "later"> {
  const { image } = waiting;
  const edit = stillToDo(waiting);
  if (!edit) return null;
  const revision = await presentRevision(image).catch(() => null);
  if (revision === null) return "later";
  // The server had saved it, and was gone before it could say so.
  if (waiting.sent !== undefined && revision === waiting.sent + 1) return null;
  try {
    const answer = await api.edit(image, { revision, edit, client });
    if (view.value?.id === image) editApplied(answer);
    return answer;
  } catch (error) {
    if (error instanceof api.Unreachable) {
      waiting.sent = revision;
      return "later";
    }
    if (error instanceof api.Refused && error.status === 409) await conflict(waiting);
    else tell((error as Error).message, { kind: "error", passes: true });
    return null;
  }
}

/** The edit without the cells that an earlier one has taken away, as a second press of Delete names them; null if none is left. */
function stillToDo({ image, edit }: Waiting): Edit | null {
  if (view.value?.id !== image || (edit.kind !== "delete" && edit.kind !== "reject") || edit.cells === "all") return edit;
  const left = edit.cells.filter((id) => cells.value.has(id));
  return left.length > 0 ? { ...edit, cells: left } : null;
}

async function presentRevision(image: number): Promise<number> {
  return view.value && isOpen(image) ? view.value.revision : (await api.openImage(image)).revision;
}

/** Somebody else was faster: shows the labels as they are now, and leaves it to the user whether the edit still fits. */
async function conflict({ image, edit }: Waiting): Promise<void> {
  if (isOpen(image)) await showImageAgain().catch(() => undefined);
  tell("Another window changed this image first. Its labels are shown; your last edit was not applied.", {
    kind: "error",
    action: { label: "Apply it", run: () => void submitTo(image, edit) },
  });
}
