import { expect } from "vitest";
import { CellsamError } from "../../lib/errors.js";

/** Keys and messages of the ERR_CONFIG that `make` throws. */
export function problems(make: () => unknown): { key: string; message: string }[] {
  try {
    make();
  } catch (error) {
    expect(error).toBeInstanceOf(CellsamError);
    expect((error as CellsamError).code).toBe("ERR_CONFIG");
    return (error as CellsamError).detail.problems as { key: string; message: string }[];
  }
  throw new Error("nothing was thrown");
}
