#include "loss/layer_matcher.h"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/Event.h>

#include <cfenv>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "base/fetch.h"
#include "base/parallel.h"
#include "engine.h"
#include "loss/match_task.h"

namespace cellsam::loss {

namespace {

// What is on its way to the host: one event for all layers that were sent together.
struct Transfer {
  at::Tensor device_logits, device_boxes;  // kept until the copy has landed
  c10::Event landed;
};

struct Layer {
  at::Tensor logits, boxes;            // [B,Q,C], [B,Q,4] on the CPU without gaps
  std::shared_ptr<Transfer> transfer;  // null: they are there already
};

at::Tensor send(const at::Tensor& from, at::ScalarType dtype, at::Tensor& kept) {
  kept = from.detach().to(dtype).contiguous();
  return fetch(kept);
}

}  // namespace

struct LayerMatcher::Work {
  std::vector<Targets> targets;
  MatchCost cost;
  std::vector<HostTargets> truth;  // of the first layer's dtype
  // Grow by `add` alone. Deques: the threads hold on to elements.
  std::deque<Layer> layers;
  std::deque<Assignment> found;
  std::deque<std::exception_ptr> errors;

  std::mutex mutex;
  std::condition_variable changed;
  std::size_t next = 0;  // task that no thread has taken yet
  std::size_t done = 0;
  bool stopped = false;
  std::fenv_t
      environment;  // of the thread that made this: whether denormals are flushed, so that all matchings have the same bits
  std::vector<std::thread> threads;

  void solve(const Layer& layer, std::size_t image, Assignment& assignment, std::exception_ptr& error) noexcept {
    try {
      if (layer.transfer) {
        const c10::DeviceGuard current(layer.transfer->landed.device());  // or waiting would make a context on GPU 0
        layer.transfer->landed.synchronize();
      }
      assignment = solve_match({layer.logits, layer.boxes, static_cast<std::int64_t>(image), &truth[image], cost});
    } catch (...) {
      error = std::current_exception();
    }
  }

  void run() {
    std::fesetenv(&environment);
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [&] { return stopped || next < found.size(); });
      if (stopped) return;
      const auto task = next++;
      const auto& layer = layers[task / targets.size()];
      auto& assignment = found[task];
      auto& error = errors[task];
      lock.unlock();
      solve(layer, task % targets.size(), assignment, error);
      lock.lock();
      ++done;
      changed.notify_all();
    }
  }
};

LayerMatcher::LayerMatcher(std::vector<Targets> targets, const MatchCost& cost, std::int64_t threads)
    : work_(std::make_unique<Work>()) {
  work_->targets = std::move(targets);
  work_->cost = cost;
  std::fegetenv(&work_->environment);
  for (std::int64_t i = 0; i < threads; ++i) work_->threads.emplace_back([work = work_.get()] { work->run(); });
}

LayerMatcher::~LayerMatcher() {
  {
    std::lock_guard lock(work_->mutex);
    work_->stopped = true;
  }
  work_->changed.notify_all();
  for (auto& thread : work_->threads) thread.join();
}

void LayerMatcher::add(const at::Tensor& given_logits, const at::Tensor& given_boxes) {
  at::NoGradGuard no_grad;
  auto& work = *work_;
  const auto images = static_cast<std::int64_t>(work.targets.size());
  const auto logits = given_logits.dim() == 3 ? given_logits.unsqueeze(0) : given_logits;
  const auto boxes = given_boxes.dim() == 3 ? given_boxes.unsqueeze(0) : given_boxes;
  if (logits.dim() != 4) fail_match("logits must be [B,Q,C] or [layers,B,Q,C]", given_logits.sizes());
  if (boxes.sizes() != at::IntArrayRef({logits.size(0), logits.size(1), logits.size(2), 4})) {
    fail_match("boxes must be [B,Q,4] or [layers,B,Q,4], like the logits", given_boxes.sizes());
  }
  if (images != logits.size(1)) fail_match("one entry of targets is needed per image", given_logits.sizes());
  const auto dtype = logits.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  if (work.truth.empty()) {
    for (const auto& image : work.targets) work.truth.push_back(read_targets(image, dtype, logits.size(3)));
  }
  at::Tensor device_logits, device_boxes;
  const auto host_logits = send(logits, dtype, device_logits), host_boxes = send(boxes, dtype, device_boxes);
  std::shared_ptr<Transfer> transfer;
  if (!logits.is_cpu()) {
    transfer = std::make_shared<Transfer>(Transfer{device_logits, device_boxes, record_event(logits.device())});
  }
  {
    std::lock_guard lock(work.mutex);
    for (std::int64_t layer = 0; layer < logits.size(0); ++layer) {
      work.layers.push_back({host_logits[layer], host_boxes[layer], transfer});
    }
    for (std::int64_t i = 0; i < logits.size(0) * images; ++i) {
      work.found.emplace_back();
      work.errors.emplace_back();
    }
  }
  work.changed.notify_all();
}

Matched LayerMatcher::finish() {
  auto& work = *work_;
  const auto tasks = work.found.size();
  if (work.threads.empty()) {
    parallel_for(0, static_cast<std::int64_t>(tasks), 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
        work.solve(work.layers[i / work.targets.size()], i % work.targets.size(), work.found[i], work.errors[i]);
      }
    });
  } else {
    std::unique_lock lock(work.mutex);
    work.changed.wait(lock, [&] { return work.done == tasks; });
  }
  for (const auto& error : work.errors) {
    if (error) std::rethrow_exception(error);
  }
  Matched matched;
  for (auto& assignment : work.found) matched.found.push_back(std::move(assignment));
  for (auto& layer : work.layers) {
    matched.logits.push_back(layer.logits);
    matched.boxes.push_back(layer.boxes);
  }
  return matched;
}

}  // namespace cellsam::loss
