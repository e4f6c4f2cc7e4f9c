#include "fake_cuda/launch.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/grad_mode.h>
#include <ATen/record_function.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include "fake_cuda/graphs.h"
#include "fake_cuda/memory.h"
#include "fake_cuda/report.h"

namespace fake_cuda {

Moment order(const Work& work) {
  const Locked lock(state());
  const auto now = tick(work.stream);
  if (is_recording(work.stream)) return now;  // nothing is started: the replays take their places
  const auto& clock = clock_of(work.stream);
  const auto unfinished = [&](const Moment& use) { return use.stream != now.stream && !clock.knows(use); };
  for (const auto* address : work.reads) {
    auto* block = block_at(address);
    if (block == nullptr) continue;
    if (unfinished(block->write))
      hazard(work.name + " on " + work.stream.name() + " reads what " + block->writer +
             " writes on another stream, and does not wait");
    std::erase_if(block->reads, [&](const Moment& read) { return read.stream == now.stream; });
    block->reads.push_back(now);
  }
  for (const auto* address : work.writes) {
    auto* block = block_at(address);
    if (block == nullptr) continue;
    if (unfinished(block->write))
      hazard(work.name + " on " + work.stream.name() + " overwrites what " + block->writer +
             " writes on another stream, and does not wait");
    for (const auto& read : block->reads)
      if (unfinished(read))
        hazard(work.name + " on " + work.stream.name() + " overwrites what another stream reads, and does not wait");
    block->reads.clear();
    block->write = now;
    block->writer = work.name;
  }
  return now;
}

Moment launch(const Work& work, const std::function<void()>& body) {
  const auto now = order(work);
  count_launch(work.name);
  save_before_writing(work);
  record(work, body);
  run_on_host(body);
  return now;
}

void run_on_host(const std::function<void()>& body) {
  const at::AutoDispatchBelowADInplaceOrView below_autograd;
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  const at::DisableRecordFunctionGuard unseen;
  const at::NoGradGuard no_grad;
  body();
}

}  // namespace fake_cuda
