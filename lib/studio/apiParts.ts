/** Numbers and names that several schemas of studio have. */
import { z } from "zod";

export const count = z.int().min(0);
export const id = z.int().min(1);
export const unit = z.number().min(0).max(1);
export const time = z.iso.datetime();

/** A number in an address. */
export const numberIn = (least: number, most: number) =>
  z
    .string()
    .regex(/^[0-9]{1,9}$/, "a whole number")
    .transform(Number)
    .refine((value) => value >= least && value <= most, `a number from ${least} to ${most}`)
    .meta({ type: "integer", minimum: least, maximum: most });

/** The name of a run is that of a folder. */
export const runName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9 _.-]{0,99}$/, "a run's name has letters, digits, spaces, dots, - and _, at most 100");

/** The name of a run that is there, which need not have been made by studio. */
export const knownRun = z
  .string()
  .max(255)
  .regex(/^[^./\\\0][^/\\\0]*$/, "a run's name is that of a folder");
