// The operators cellsam_cuda::nccl_...: sums over processes that have a GPU each, by torch's process group for NCCL. A group is
// known by a number, which is its address.
#define USE_C10D_NCCL  // its header is empty without

#include <torch/library.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include <chrono>
#include <cstdint>
#include <string>

namespace cellsam::cuda {
namespace {

using Group = c10d::ProcessGroupNCCL;

// `store`: the address of a c10d::Store, which all processes share, and `number` another one for each group. `timeout` in
// milliseconds.
std::int64_t nccl_open(std::int64_t store, std::int64_t number, std::int64_t rank, std::int64_t size, std::int64_t timeout) {
  const auto shared = c10::intrusive_ptr<c10d::Store>::unsafe_reclaim_from_nonowning(reinterpret_cast<c10d::Store*>(store));
  const auto own = c10::make_intrusive<c10d::PrefixStore>("nccl/" + std::to_string(number), shared);
  auto options = Group::Options::create();
  options->timeout = std::chrono::milliseconds(timeout);
  auto group = c10::make_intrusive<Group>(own, static_cast<int>(rank), static_cast<int>(size), options);
  return reinterpret_cast<std::int64_t>(group.release());
}

// In place, on the current device. Returns when the sums are there.
void nccl_sum(std::int64_t group, at::TensorList tensors) {
  auto* nccl = reinterpret_cast<Group*>(group);
  std::vector<c10::intrusive_ptr<c10d::Work>> works;
  for (const auto& tensor : tensors) {
    std::vector<at::Tensor> one{tensor};
    works.push_back(nccl->allreduce(one));
  }
  for (const auto& work : works) work->wait();
}

// Ends what still waits for other processes.
void nccl_close(std::int64_t group) {
  auto nccl = c10::intrusive_ptr<Group>::reclaim(reinterpret_cast<Group*>(group));
  nccl->abort();
}

}  // namespace
}  // namespace cellsam::cuda

TORCH_LIBRARY_FRAGMENT(cellsam_cuda, library) {
  library.def("nccl_open(int store, int number, int rank, int size, int timeout) -> int", TORCH_FN(cellsam::cuda::nccl_open));
  library.def("nccl_sum(int group, Tensor[] tensors) -> ()", TORCH_FN(cellsam::cuda::nccl_sum));
  library.def("nccl_close(int group) -> ()", TORCH_FN(cellsam::cuda::nccl_close));
}
