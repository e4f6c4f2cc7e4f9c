/** A request that is answered while what it asks for keeps changing is sent again, but not for ever. */
const mostRequests = 3;

/**
 * What a part of the page shows. Answers may come in another order than they were asked for, and after the user has gone on:
 * only that of the subject that is wanted last is shown, and none that is older than what is shown.
 */
export class Shown<Subject> {
  #wanted: Subject | null = null;
  /** Counts the times that a subject was wanted: requests from before the last one are of no interest. */
  #turn = 0;
  #requests = 0;
  /** The request whose answer is shown, and the last one before what is shown changed. */
  #newest = 0;
  #outdated = 0;

  get wanted(): Subject | null {
    return this.#wanted;
  }

  /** From now on this subject is to be shown, and no other. */
  want(subject: Subject | null): void {
    this.#wanted = subject;
    this.#turn++;
  }

  /** The subject has changed: answers to what was asked before are older. Nothing happens for one that is not wanted. */
  changed(subject: Subject): void {
    if (subject === this.#wanted) this.#outdated = this.#requests;
  }

  /**
   * Asks for the wanted subject, once more where the answer is older than a change of it.
   * @returns null where the answer, or the failure, is not to be shown: another subject is wanted, or a later request counts
   */
  async ask<Answer>(request: (subject: Subject) => Promise<Answer>): Promise<Answer | null> {
    const turn = this.#turn;
    for (let left = mostRequests - 1; this.#wanted !== null && turn === this.#turn; left--) {
      const number = ++this.#requests;
      const answer = await request(this.#wanted).catch((error: unknown) => {
        if (turn === this.#turn && number === this.#requests) throw error;
        return null;
      });
      if (answer === null || turn !== this.#turn || number < this.#newest) return null;
      if (number <= this.#outdated && left > 0) continue;
      this.#newest = number;
      return answer;
    }
    return null;
  }
}
