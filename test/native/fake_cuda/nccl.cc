// Sums over processes on the pretend device. As NCCL, it refuses two processes on one GPU.
#define USE_C10D_GLOO
#include <c10/util/Exception.h>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <string>
#include <utility>

#include "fake_cuda/host_views.h"
#include "fake_cuda/include/torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp"
#include "fake_cuda/launch.h"
#include "fake_cuda/streams.h"

namespace c10d {

struct ProcessGroupNCCL::Gloo {
  c10::intrusive_ptr<Store> store;
  c10::intrusive_ptr<ProcessGroupGloo> group;
  int rank, size;
  bool met = false;

  // When the devices are known: at the first sum, as NCCL does.
  void meet(int device) {
    if (std::exchange(met, true)) return;
    const auto key = [](int of) { return "device/" + std::to_string(of); };
    const auto own = std::to_string(device);
    store->set(key(rank), std::vector<std::uint8_t>(own.begin(), own.end()));
    for (int other = 0; other < size; ++other) {
      const auto found = store->get(key(other));
      TORCH_CHECK(other == rank || std::string(found.begin(), found.end()) != own, "NCCL error: ncclInvalidUsage\n",
                  "Duplicate GPU detected : rank ", rank, " and rank ", other, " both on CUDA device ", own);
    }
  }
};

ProcessGroupNCCL::ProcessGroupNCCL(c10::intrusive_ptr<Store> store, int rank, int size, c10::intrusive_ptr<Options> options)
    : gloo_(std::make_unique<Gloo>()) {
  auto with = ProcessGroupGloo::Options::create(options->timeout);
  with->devices.push_back(ProcessGroupGloo::createDeviceForHostname("127.0.0.1"));
  gloo_->group = c10::make_intrusive<ProcessGroupGloo>(store, rank, size, with);
  gloo_->store = std::move(store);
  gloo_->rank = rank, gloo_->size = size;
}

ProcessGroupNCCL::~ProcessGroupNCCL() = default;

c10::intrusive_ptr<Work> ProcessGroupNCCL::allreduce(std::vector<at::Tensor>& tensors) {
  auto& tensor = tensors.at(0);
  const int device = tensor.device().index();
  gloo_->meet(device);
  const auto stream = fake_cuda::current_stream(device);
  const auto* address = fake_cuda::address_of(tensor);
  c10::intrusive_ptr<Work> work;
  fake_cuda::launch({"nccl::all_reduce", stream, {address}, {address}}, [&] {
    std::vector<at::Tensor> host{fake_cuda::host_view(tensor)};
    work = gloo_->group->allreduce(host);
    work->wait();
  });
  fake_cuda::wait_for(stream, "sum over processes");
  return work;
}

void ProcessGroupNCCL::abort() { gloo_->group.reset(); }

}  // namespace c10d
