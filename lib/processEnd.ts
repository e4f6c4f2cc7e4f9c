/** Describes how a child process ended. Windows has no signals: there the exit code states that a process crashed, and why. */

/** Status codes of Windows, https://learn.microsoft.com/openspecs/windows_protocols/ms-erref. */
const crashes: Record<number, string> = {
  3221225477: "an access violation",
  3221225495: "lack of memory",
  3221225501: "an instruction that this CPU does not know",
  3221225781: "a library that is missing",
  3221225785: "a library of another version",
  3221225786: "Ctrl-C",
  3221225725: "a stack overflow",
  3221226356: "a damaged heap",
  3221226505: "a failed check",
};

/**
 * What ended the process from outside, such as "SIGKILL" or "an access violation (0xc0000005)"; null when it ended by itself.
 */
export function endedBy(code: number | null | undefined, signal: NodeJS.Signals | null | undefined): string | null {
  if (signal) return signal;
  if (typeof code !== "number" || code < 0xc0000000) return null;
  return `${crashes[code] ?? "an error of the system"} (0x${code.toString(16)})`;
}
