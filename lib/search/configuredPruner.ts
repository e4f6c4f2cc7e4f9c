/** The pruner that the options of a search name. */
import type { SearchOptions } from "../config/search.js";
import { AshaPruner } from "./asha.js";
import { FoldPruner } from "./folds.js";
import type { Pruner } from "./pruner.js";

/** null without pruning. `searched` are dotted settings. @throws CellsamError ERR_CONFIG where the rule cannot work */
export function configuredPruner(options: SearchOptions, strategy: string, searched: readonly string[]): Pruner | null {
  if (options.pruner === "asha") return new AshaPruner(options, searched);
  if (options.pruner === "folds") return new FoldPruner(options, strategy);
  return null;
}
