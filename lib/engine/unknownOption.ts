/** The engine refuses options that it does not know; this says it in the names of the API, with the nearest one that exists. */
import { CellsamError } from "../errors.js";
import { nearest } from "../nearest.js";
import { groups } from "../settings/groups.js";
import { camelCase } from "../spelling.js";

/** Options of sessions that are no settings. */
const others =
  `size overrides device image boxes labels path format dtype store indices fold epoch startStep batchSize stage epochs
  stepsPerEpoch floor maxCandidates signal`.split(/\s+/);

/** The same error, or a clearer one where it is about an unknown option. */
export function namingOption(error: unknown): unknown {
  if (!(error instanceof CellsamError) || error.code !== "ERR_INVALID_ARGUMENT") return error;
  const [, call = "", option = ""] = /^([\w. ]+): unknown option (\w+)$/.exec(error.message) ?? [];
  // The fields of a model's size are the engine's own.
  if (!option || call === "model size") return error;
  const name = camelCase(option);
  const known = new Set([...others, ...Object.values(groups).flatMap((group) => Object.keys(group))]);
  const message = `${camelCase(call)}: unknown option ${name}${hint(name, known)}`;
  return new CellsamError(error.code, message, { detail: { ...error.detail, unknown: [name] }, cause: error.cause });
}

function hint(name: string, known: Set<string>): string {
  if (known.has(name)) return ", which is one of another call or stage";
  const meant = nearest(name, known);
  return meant ? `; did you mean ${meant}?` : "";
}
