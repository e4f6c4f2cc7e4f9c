/**
 * The description of one mask loss (stage 2): its name and settings. Configuration, search, engine and metrics are derived from
 * the table of these.
 */
import type { DescribedNumber } from "../kinds.js";

interface Weight extends DescribedNumber {
  type: "number";
}

type Own = Record<string, DescribedNumber>;
type WithWeight<Name extends string, Settings> = { [K in `${Name}LossWeight`]: Weight } & Settings;

export interface MaskLoss<Name extends string = string, Settings extends Own = Own, Searched extends string = string> {
  /** One word, in lower case: its file in native/loss/, its setting `NAMELossWeight` and its metric `NAME_loss`. */
  name: Name;
  /** Its weight, then its other settings. */
  settings: WithWeight<Name, Settings>;
  /** Settings that a search has a list for, named with an added s, with the description of that list. */
  searched: Record<Searched, string>;
}

/**
 * @param loss.weight default weight of the loss in the sum; with 0 a new loss changes no existing configuration
 * @param loss.settings its other settings; each name begins with the name of the loss
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
