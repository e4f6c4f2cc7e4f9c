/** A validation that all processes begin, also where one of them is to stop already. */
import type { DistributedSession, ValidateOptions, ValidateReport } from "../engine/session.js";

/** As `validate`, but the signal cancels it only once it has begun, so that the others learn of it. */
export async function validateTogether(session: DistributedSession, options: ValidateOptions): Promise<ValidateReport> {
  const { signal } = options;
  const cancelled = new AbortController();
  const cancel = () => cancelled.abort(signal?.reason);
  const validation = session.validate({ ...options, signal: cancelled.signal });
  if (signal?.aborted) cancel();
  signal?.addEventListener("abort", cancel, { once: true });
  return validation.finally(() => signal?.removeEventListener("abort", cancel));
}
