/** What a loss of the masks (stage 2) says about itself. All that has the losses' names in it follows from the table of these. */
import type { DescribedNumber } from "../kinds.js";

interface Weight extends DescribedNumber {
  type: "number";
}

type Own = Record<string, DescribedNumber>;
type WithWeight<Name extends string, Settings> = { [K in `${Name}LossWeight`]: Weight } & Settings;

export interface MaskLoss<Name extends string = string, Settings extends Own = Own, Searched extends string = string> {
  /** Its file in native/loss/, its setting `NAMELossWeight` and its metric `NAME_loss`. */
  name: Name;
  /** Its weight, and after that its own. */
  settings: WithWeight<Name, Settings>;
  /** Those of its own settings that a search has a list for, named with an s, and what the list holds. */
  searched: Record<Searched, string>;
}

/**
 * @param loss.weight of the loss in the sum, unless it is set: 0 leaves trainings as they were before there was this loss
 * @param loss.settings its own; each name begins with that of the loss
 */
export function maskLoss<
  const Name extends string,
  const Settings extends Own = Record<never, never>,
  const Searched extends string & keyof Settings = never,
>(
  name: Name,
  loss: { weight: number; settings?: Settings; searched?: Record<Searched, string> },
): MaskLoss<Name, Settings, Searched> {
  const description = `Weight of the ${name} loss.`;
  const weight: Weight = { type: "number", minimum: 0, default: loss.weight, description };
  const settings = { [`${name}LossWeight`]: weight, ...loss.settings } as WithWeight<Name, Settings>;
  return { name, settings, searched: loss.searched ?? ({} as Record<Searched, string>) };
}
