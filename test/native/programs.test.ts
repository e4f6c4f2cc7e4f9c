// The native test programs that need nothing but themselves, one test each.
import { it } from "vitest";
import { expectAllHold } from "../programs.js";

const programs: Record<string, number> = {
  augment_warp: 20,
  by_image: 30,
  cast_weights: 6,
  cuda_mask_losses: 50,
  cuda_recording: 20,
  cuda_row_column: 160,
  data_batch: 10,
  data_image: 10,
  data_session: 10,
  data_stain: 20,
  data_store: 10,
  dense_loss: 17,
  device: 16,
  feature_file: 20,
  feature_processes: 7,
  frozen_backbone: 20,
  fused_attention: 4,
  grid_attention: 300,
  hungarian: 10,
  infer_at_once: 18,
  infer_instances: 20,
  infer_predict: 20,
  infer_prompt_box: 14,
  isa: 5,
  losses: 10,
  low_rank: 22,
  mask_decoder_factored: 40,
  matching: 100,
  metric_match: 20,
  model_rules: 20,
  muon: 32,
  non_finite: 10,
  os: 45,
  parallel: 12,
  out_of_memory: 10,
  prompt_graphs: 100,
  quantiles: 80,
  schedule: 10,
  upsampled_mask_loss: 300,
  workers: 7,
};

it.each(Object.entries(programs))("%s holds in all of at least %i checks", async (program, atLeast) => {
  await expectAllHold(program, [], atLeast);
});
