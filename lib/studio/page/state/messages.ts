/** What the page tells its user, until it is read. */
import { signal } from "@preact/signals";
import { Unreachable } from "../api/client.js";

export interface Message {
  id: number;
  kind: "note" | "error";
  text: string;
  action?: { label: string; run: () => void };
  /** Goes by itself, as notes without an action do; errors otherwise stay until they are read. */
  passes?: boolean;
}

export const messages = signal<readonly Message[]>([]);
/** What the status line says for a while in place of the tool's hint. */
export const remark = signal<string | null>(null);

/** Milliseconds for which what passes by itself is shown. */
const SHOWN = 6000;
let last = 0;
let remarkEnds: ReturnType<typeof setTimeout> | undefined;

export function tell(
  text: string,
  { kind = "note", action, passes = kind === "note" && !action }: Partial<Omit<Message, "id" | "text">> = {},
): void {
  const id = ++last;
  const others = messages.value.filter((message) => message.text !== text);
  messages.value = [...others.slice(-3), { id, kind, text, ...(action && { action }) }];
  if (passes) setTimeout(() => dismiss(id), SHOWN);
}

/** Says in the status line what a key or a stroke has done, or why it did nothing. */
export function say(text: string): void {
  remark.value = text;
  clearTimeout(remarkEnds);
  remarkEnds = setTimeout(() => {
    remark.value = null;
  }, SHOWN);
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
