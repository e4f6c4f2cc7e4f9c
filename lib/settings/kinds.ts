/**
 * Types of the settings that the configuration and the engine share. `scripts/settings.mjs` writes them as C++ constants, so
 * that a default and a range are written in lib/settings/ only, and both halves refuse the same values with the same message.
 */

export interface Range {
  minimum?: number;
  exclusiveMinimum?: number;
  maximum?: number;
  exclusiveMaximum?: number;
  /** 0 is also allowed, and switches something off. */
  orZero?: boolean;
}

/** A default of null means that the setting may be unset, for the engine too. */
export interface NumberSetting extends Range {
  type: "number" | "integer";
  default: number | null;
}

/** A number with its description. */
export interface DescribedNumber extends NumberSetting {
  default: number;
  description: string;
}

export interface FlagSetting {
  type: "boolean";
  default: boolean | null;
}

/** Where "on" and "off" are among the choices, true and false mean these. */
export interface ChoiceSetting {
  choices: readonly [string, ...string[]];
  default: string | null;
}

export type Setting = NumberSetting | FlagSetting | ChoiceSetting;

/** Settings by name. */
export type Settings = Record<string, Setting>;

/** The values of a setting. */
export type ValueOf<S extends Setting> =
  | (S extends ChoiceSetting ? S["choices"][number] : S extends FlagSetting ? boolean : number)
  | (null extends S["default"] ? null : never);

/** The values of a group of settings, by name. */
export type SettingValues<Group extends Settings> = { -readonly [Name in keyof Group]: ValueOf<Group[Name]> };

/** The intersection of a union of groups: the settings of all of them. */
export type Together<Groups> = (Groups extends unknown ? (group: Groups) => void : never) extends (all: infer All) => void
  ? All
  : never;

/** The keys of any member of a union. */
export type AllKeys<Group> = Group extends unknown ? keyof Group : never;

/** What a value must be, for messages: "must be ...". */
export function expected(setting: Setting): string {
  if ("choices" in setting) return `one of ${setting.choices.join(", ")}`;
  if (setting.type === "boolean") return "true or false";
  return setting.type === "integer" ? wholeNumber(setting) : number(setting);
}

function wholeNumber({ minimum = Number.MIN_SAFE_INTEGER, maximum, orZero }: Range): string {
  const range = maximum === undefined ? `an integer >= ${minimum}` : `an integer from ${minimum} to ${maximum}`;
  return orZero ? `0 or ${range}` : range;
}

function number({ minimum, exclusiveMinimum, maximum, exclusiveMaximum }: Range): string {
  if (minimum !== undefined && maximum !== undefined) return `a number from ${minimum} to ${maximum}`;
  const least = minimum !== undefined ? `>= ${minimum}` : exclusiveMinimum !== undefined ? `> ${exclusiveMinimum}` : "";
  const most = maximum !== undefined ? `<= ${maximum}` : exclusiveMaximum !== undefined ? `< ${exclusiveMaximum}` : "";
  const both = [least, most].filter(Boolean).join(" and ");
  return `a ${least && most ? "" : "finite "}number ${both}`.trim();
}

/** Whether a number is in the range of its setting. */
export function inRange(value: number, setting: Range & { type: string }): boolean {
  if (!Number.isFinite(value) || (setting.type === "integer" && !Number.isInteger(value))) return false;
  if (setting.orZero && value === 0) return true;
  return (
    value >= (setting.minimum ?? Number.NEGATIVE_INFINITY) &&
    value > (setting.exclusiveMinimum ?? Number.NEGATIVE_INFINITY) &&
    value <= (setting.maximum ?? Number.POSITIVE_INFINITY) &&
    value < (setting.exclusiveMaximum ?? Number.POSITIVE_INFINITY)
  );
}
