/**
 * What a part of the page shows. Answers may come in another order than they were asked for, and after the user has gone on:
 * only that of the subject that is wanted last is shown, and none that is older than what is shown.
 */
export class Shown<Subject> {
  #wanted: Subject | null = null;
  #asked = 0;
  #newest = 0;

  /** From now on this subject is to be shown, and no other. */
  want(subject: Subject | null): void {
    this.#wanted = subject;
  }

  wants(subject: Subject | null): boolean {
    return this.#wanted === subject;
  }

  /** What is shown has changed otherwise: answers to what was asked before are older. */
  changed(): void {
    this.#newest = ++this.#asked;
  }

  /** Asks again where the answer is older than what is shown. @returns null where the subject is not wanted any more */
  async ask<Answer>(subject: Subject, request: () => Promise<Answer>): Promise<Answer | null> {
    for (;;) {
      const number = ++this.#asked;
      const answer = await request();
      if (!this.wants(subject)) return null;
      if (number < this.#newest) continue;
      this.#newest = number;
      return answer;
    }
  }
}
