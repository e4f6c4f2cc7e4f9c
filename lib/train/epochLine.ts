/** What the log says of steps and epochs. */
import type { Losses, ValidateReport } from "../engine/session.js";

type FeatureCounts = ValidateReport["features"];

interface EpochFacts {
  epoch: number;
  epochs: number;
  train: Losses;
  validation: Losses | null;
  scores: Record<string, number | null> | null;
  lr: number;
  features: FeatureCounts;
  seconds: number;
}

export function epochLine({ epoch, epochs, train, validation, scores, lr, features, seconds }: EpochFacts): string {
  const parts = [`train ${lossesLine(train)}`, `val ${validation ? lossesLine(validation) : "none"}`, `lr ${lr}`];
  if (scores) parts.push(`F1 ${scores.f1?.toFixed(4) ?? "-"}`);
  const { kept, computed } = features;
  // Nothing where no backbone is frozen.
  if (kept + computed > 0) parts.push(`features ${kept} kept, ${computed} computed`);
  return `epoch ${epoch}/${epochs}: ${parts.join("; ")}; ${seconds.toFixed(1)} s`;
}

/** "total_loss 0.500000, loss_ce 0.300000": "-" for a loss that no batch had. */
export function lossesLine(losses: Losses): string {
  return Object.entries(losses)
    .map(([name, value]) => `${name} ${value?.toFixed(6) ?? "-"}`)
    .join(", ");
}

/** Features of frozen backbones in the epoch's training and validation together. */
export function featureCounts(...reports: (ValidateReport | null)[]): FeatureCounts {
  const sum = (key: keyof FeatureCounts) => reports.reduce((all, report) => all + (report?.features[key] ?? 0), 0);
  return { kept: sum("kept"), computed: sum("computed") };
}

/** Resident memory of this process. */
export function memoryNote(): string {
  return `, memory ${Math.round(process.memoryUsage.rss() / 2 ** 20)} MiB`;
}
