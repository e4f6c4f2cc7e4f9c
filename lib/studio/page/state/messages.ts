/** What the page tells its user, until it is read. */
import { signal } from "@preact/signals";
import { Unreachable } from "../api/client.js";

export interface Message {
  id: number;
  kind: "note" | "error";
  text: string;
  action?: { label: string; run: () => void };
}

export const messages = signal<readonly Message[]>([]);

/** Milliseconds for which a note without an action is shown. Errors stay. */
const SHOWN = 6000;
let last = 0;

export function tell(text: string, { kind = "note", action }: Partial<Omit<Message, "id" | "text">> = {}): void {
  const id = ++last;
  const others = messages.value.filter((message) => message.text !== text);
  messages.value = [...others.slice(-3), { id, kind, text, ...(action && { action }) }];
  if (kind === "note" && !action) setTimeout(() => dismiss(id), SHOWN);
}

export function dismiss(id: number): void {
  messages.value = messages.value.filter((message) => message.id !== id);
}

/**
 * Does what the user asked for and says why it failed. That the server is gone is said once, above the page.
 * @returns undefined after a failure
 */
export async function attempt<Result>(work: () => Promise<Result>): Promise<Result | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Unreachable)) tell((error as Error).message, { kind: "error" });
    return undefined;
  }
}
