// What include/ declares: the functions of CUDA, c10 and torch that our own CUDA library links to.
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAStream.h>

#include "fake_cuda/graphs.h"
#include "fake_cuda/streams.h"

namespace {

// Of its two numbers torch uses one: the first for a pool of a single graph, the second for a handle.
fake_cuda::Pool pool_of(const c10::MempoolId_t& id) { return id.first + id.second; }

}  // namespace

extern "C" __attribute__((visibility("default"))) cudaError_t cudaGetLastError() { return cudaSuccess; }

extern "C" __attribute__((visibility("default"))) const char* cudaGetErrorString(cudaError_t) { return "no error"; }

namespace c10::cuda {

CUDAStream getCurrentCUDAStream(DeviceIndex device) {
  const auto stream = fake_cuda::current_stream(device < 0 ? fake_cuda::current_device() : device);
  return CUDAStream(Stream(Stream::UNSAFE, Device(DeviceType::CUDA, static_cast<DeviceIndex>(stream.device)), stream.id));
}

cudaStream_t CUDAStream::stream() const {
  const fake_cuda::Stream stream{stream_.device_index(), static_cast<int>(stream_.id())};
  return reinterpret_cast<cudaStream_t>(static_cast<std::intptr_t>(stream.number()));
}

void CUDAStream::synchronize() const {
  fake_cuda::wait_for({stream_.device_index(), static_cast<int>(stream_.id())}, "CUDAStream::synchronize");
}

namespace CUDACachingAllocator {

void endAllocateToPool(DeviceIndex, MempoolId_t pool) { fake_cuda::forget_failed_recording(pool_of(pool)); }

void releasePool(DeviceIndex, MempoolId_t) {}  // a pool here goes with its last graph

}  // namespace CUDACachingAllocator
}  // namespace c10::cuda

namespace at::cuda {
namespace {

fake_cuda::Stream current() { return fake_cuda::current_stream(fake_cuda::current_device()); }

}  // namespace

c10::MempoolId_t graph_pool_handle() { return {0, fake_cuda::new_pool()}; }

CUDAGraph::~CUDAGraph() {
  if (number_ != 0) fake_cuda::close_graph(number_);
}

void CUDAGraph::capture_begin(c10::MempoolId_t pool, cudaStreamCaptureMode) {
  const auto shared = pool_of(pool);
  number_ = fake_cuda::begin_graph(current(), shared == 0 ? fake_cuda::new_pool() : shared);
}

void CUDAGraph::capture_end() { fake_cuda::end_graph(number_, current()); }

void CUDAGraph::replay() { fake_cuda::replay_graph(number_, current()); }

c10::MempoolId_t CUDAGraph::pool() { return {fake_cuda::pool_of_graph(number_), 0}; }

}  // namespace at::cuda
