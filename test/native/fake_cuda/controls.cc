// Mistakes that the pretend device has to see, and their right forms, which it must not mind: controls NAME makes one.
// test/gpu/controls.test.ts says what each must lead to.
#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <optional>
#include <string>

namespace {

using at::Tensor;

const at::Device kFirst(at::kCUDA, 0), kSecond(at::kCUDA, 1);

const c10::impl::VirtualGuardImpl& cuda() {
  static const c10::impl::VirtualGuardImpl guard(at::kCUDA);
  return guard;
}

void wait() { cuda().synchronizeStream(cuda().getStream(kFirst)); }

Tensor ones(const at::Device& device = kFirst) { return at::ones({1000}, at::device(device)); }

Tensor pinned(double value) { return at::full({1000}, value, at::device(at::kCPU)).pin_memory(); }

void on_other_stream(const std::function<void()>& work) {
  const c10::StreamGuard guard(cuda().getStreamFromGlobalPool(kFirst));
  work();
}

// One stream waits for all that was started on another.
void join(const c10::Stream& later, const c10::Stream& earlier) {
  c10::Event event(at::kCUDA);
  event.record(earlier);
  event.block(later);
}

void say(const char* what, const Tensor& tensor) { std::printf("%s %g\n", what, tensor.flatten()[0].item<double>()); }

// A graph that libcellsam_cuda records.
class Graph {
 public:
  explicit Graph(const std::function<void()>& work) {
    const char* library = std::getenv("CELLSAM_CUDA_LIBRARY");
    TORCH_CHECK(library != nullptr && dlopen(library, RTLD_NOW | RTLD_GLOBAL) != nullptr, dlerror());
    const c10::StreamGuard guard(stream_);
    number_ = call<std::int64_t(std::int64_t)>("graph_begin").call(0);
    try {
      work();
    } catch (...) {
      try {
        call<void(std::int64_t)>("graph_end").call(number_);
      } catch (const c10::Error&) {
      }
      throw;
    }
    call<void(std::int64_t)>("graph_end").call(number_);
  }
  ~Graph() {
    if (number_ != 0) call<void(std::int64_t)>("graph_close").call(number_);
  }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  void replay() {
    const auto own = cuda().getStream(kFirst);
    join(stream_, own);
    {
      const c10::StreamGuard guard(stream_);
      call<void(std::int64_t)>("graph_replay").call(number_);
    }
    join(own, stream_);
  }

 private:
  template <class Signature>
  static c10::TypedOperatorHandle<Signature> call(const char* name) {
    return c10::Dispatcher::singleton()
        .findSchemaOrThrow((std::string("cellsam_cuda::") + name).c_str(), "")
        .typed<Signature>();
  }

  c10::Stream stream_ = cuda().getStreamFromGlobalPool(kFirst);
  std::int64_t number_ = 0;
};

// Work for a graph needs what it reads to be there on the graph's stream too.
void settle() { cuda().synchronizeDevice(0); }

void read_at_once(bool waits) {
  const auto host = at::empty({1000}, at::device(at::kCPU).pinned_memory(true));
  host.copy_(ones() * 2, /*non_blocking=*/true);
  if (waits) wait();
  say("read", host);
}

void change_pinned(bool waits) {
  auto host = pinned(1);
  const auto device = host.to(kFirst, /*non_blocking=*/true);
  if (waits) wait();
  host.fill_(3);
  wait();
  say("got", device);
}

void free_pinned(bool waits) {
  auto host = pinned(1);
  const auto device = at::from_blob(host.data_ptr(), {1000}).to(kFirst, /*non_blocking=*/true);
  if (waits) wait();
  host.reset();
  wait();
}

void read_across_streams(bool waits) {
  const auto own = cuda().getStream(kFirst);
  Tensor made;
  on_other_stream([&] {
    made = ones() + 1;
    if (waits) join(own, cuda().getStream(kFirst));
  });
  say("sum", made + 1);
}

void overwrite_across_streams(bool waits) {
  const auto own = cuda().getStream(kFirst);
  auto shared = ones();
  on_other_stream([&] {
    join(cuda().getStream(kFirst), own);
    (void)(shared + 1);
    if (waits) join(own, cuda().getStream(kFirst));
  });
  shared.fill_(2);
}

void free_across_streams(bool recorded) {
  const auto own = cuda().getStream(kFirst);
  auto shared = ones();
  on_other_stream([&] {
    const auto other = cuda().getStream(kFirst);
    join(other, own);
    (void)(shared + 1);
    if (recorded) shared.record_stream(other);
  });
  shared.reset();
  (void)ones();
}

void use_freed_in_graph(bool keeps) {
  auto input = ones();
  auto output = at::empty_like(input);
  settle();
  Graph graph([&] { at::add_out(output, input, input); });
  settle();
  if (!keeps) input.reset();
  graph.replay();
  say("output", output);
}

void record_event_of_other_device(bool guarded) {
  std::optional<c10::DeviceGuard> guard;
  if (guarded) guard.emplace(kSecond);
  const auto tensor = ones(kSecond);
  c10::Event event(at::kCUDA);
  event.record(cuda().getStream(kSecond));
}

Tensor graph_output(const std::function<void(const Tensor&, Tensor&)>& work) {
  const auto input = ones();
  auto output = at::zeros_like(input);
  settle();
  Graph graph([&] { work(input, output); });
  say("recorded", output);
  input.fill_(5);
  graph.replay();
  return output;
}

const std::map<std::string, std::function<void()>>& controls() {
  static const std::map<std::string, std::function<void()>> all = {
      {"touch", [] { std::printf("%f\n", ones().const_data_ptr<float>()[0]); }},
      {"early_read", [] { read_at_once(false); }},
      {"late_read", [] { read_at_once(true); }},
      {"pinned_changed", [] { change_pinned(false); }},
      {"pinned_kept", [] { change_pinned(true); }},
      {"pinned_freed", [] { free_pinned(false); }},
      {"pinned_freed_late", [] { free_pinned(true); }},
      {"streams_unordered", [] { read_across_streams(false); }},
      {"streams_ordered", [] { read_across_streams(true); }},
      {"overwritten_unordered", [] { overwrite_across_streams(false); }},
      {"overwritten_ordered", [] { overwrite_across_streams(true); }},
      {"freed_unrecorded", [] { free_across_streams(false); }},
      {"freed_recorded", [] { free_across_streams(true); }},
      {"two_devices", [] { (void)at::add(ones(), ones(kSecond)); }},
      {"host_operand", [] { (void)at::add(ones(), at::ones({1000})); }},
      {"host_scalar", [] { say("sum", at::add(ones(), at::ones({}))); }},
      {"device_copy", [] { say("copy", ones().to(kSecond)); }},
      {"uninitialised", [] { say("sum", at::empty({4}, at::device(kFirst)).sum()); }},
      {"nondeterministic",
       [] {
         at::globalContext().setDeterministicAlgorithms(true, false);
         (void)ones().cumsum(0);
       }},
      {"no_workspace",
       [] {
         at::globalContext().setDeterministicAlgorithms(true, false);
         (void)at::mm(ones().view({10, 100}), ones().view({100, 10}));
       }},
      {"three_allocations",
       [] {
         for (int i = 1; i <= 3; ++i) {
           try {
             (void)at::empty({10}, at::device(kFirst));
             std::printf("allocation %d\n", i);
           } catch (const c10::OutOfMemoryError& error) {
             std::printf("no allocation %d\n", i);
           }
         }
       }},
      {"three_sums",
       [] {
         const auto tensor = ones();
         for (int i = 1; i <= 3; ++i) say("sum", tensor.sum());
       }},
      {"mask", [] { (void)ones().index({ones() > 0}); }},
      {"host_indices",
       [] {
         say("got", ones().index({at::tensor({1, 2})}));
       }},
      {"graph", [] { say("replayed", graph_output([](const Tensor& in, Tensor& out) { out.copy_(in * 2 + 1); })); }},
      {"graph_waits", [] { graph_output([](const Tensor& in, Tensor&) { in.sum().item<float>(); }); }},
      {"graph_pageable", [] { graph_output([](const Tensor&, Tensor& out) { out.copy_(at::ones({1000})); }); }},
      {"graph_foreign_event",
       [] {
         const auto own = cuda().getStream(kFirst);
         graph_output([&](const Tensor&, Tensor&) { join(cuda().getStream(kFirst), own); });
       }},
      {"graph_leaks_event",
       [] {
         const auto own = cuda().getStream(kFirst);
         graph_output([&](const Tensor&, Tensor&) { join(own, cuda().getStream(kFirst)); });
       }},
      {"graph_empties_cache",
       [] {
         graph_output([](const Tensor& in, Tensor& out) {
           out.copy_(in);
           c10::getDeviceAllocator(at::kCUDA)->emptyCache();
         });
       }},
      {"graph_freed", [] { use_freed_in_graph(false); }},
      {"graph_kept", [] { use_freed_in_graph(true); }},
      {"event_unguarded", [] { record_event_of_other_device(false); }},
      {"event_guarded", [] { record_event_of_other_device(true); }},
  };
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  if (dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    return 2;
  }
  const auto found = controls().find(argc > 1 ? argv[1] : "");
  if (found == controls().end()) {
    for (const auto& [name, control] : controls()) std::printf("%s\n", name.c_str());
    return 2;
  }
  try {
    found->second();
  } catch (const c10::Error& error) {
    std::printf("error: %s\n", error.what_without_backtrace());
  }
  return 0;
}
