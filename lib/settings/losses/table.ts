/** The losses of the masks, in the order of native/loss/mask_losses.inc. docs/extending.md says how one is added. */
import type { AllKeys, Together } from "../kinds.js";
import { boundary } from "./boundary.js";
import { dice } from "./dice.js";
import { focal } from "./focal.js";

const table = {
  focal,
  dice,
  boundary,
};

type Losses = (typeof table)[keyof typeof table];

export const maskLosses: readonly Losses[] = Object.values(table);

export type MaskLossName = Losses["name"];
/** The settings of all losses, by name. */
export type MaskLossSettings = Together<Losses["settings"]>;
/** Names of the losses' own settings that a search has lists for. */
export type SearchedLossSetting = AllKeys<Losses["searched"]>;

export const maskLossSettings = Object.assign({}, ...maskLosses.map(({ settings }) => settings)) as MaskLossSettings;
