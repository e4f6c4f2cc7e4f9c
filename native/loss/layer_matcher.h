// Matches the decoder layers while they are still being computed: each layer's predictions are handed in as they come, and
// threads of its own solve one matching per image meanwhile.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "loss/hungarian.h"
#include "loss/matcher.h"

namespace cellsam::loss {

// What was matched, layer by layer.
struct Matched {
  std::vector<Assignment> found;   // L*B, layer by layer; rows are queries and ascend, columns are targets
  std::vector<at::Tensor> logits;  // per layer [B,Q,C] on the CPU, as the matching saw them
  std::vector<at::Tensor> boxes;   // per layer [B,Q,4], likewise
};

class LayerMatcher {
 public:
  // `targets`: one entry per image. With `threads` 0 all matchings are solved in `finish`, side by side on torch's threads.
  LayerMatcher(std::vector<Targets> targets, const MatchCost& cost, std::int64_t threads = 0);
  // Waits for the matchings that are being solved, and drops the others.
  ~LayerMatcher();
  LayerMatcher(const LayerMatcher&) = delete;
  LayerMatcher& operator=(const LayerMatcher&) = delete;

  // The next layer's logits [B,Q,C] and boxes [B,Q,4], or those of the next few layers, [layers,B,Q,C] and [layers,B,Q,4]. From
  // another device they travel without the host waiting for them. Throws ERR_INVALID_ARGUMENT for wrong shapes or labels.
  void add(const at::Tensor& logits, const at::Tensor& boxes);

  // All layers that were added, once. Throws what the first of them threw, as `match` does.
  Matched finish();

 private:
  struct Work;
  std::unique_ptr<Work> work_;
};

}  // namespace cellsam::loss
