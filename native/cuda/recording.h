// What is not CUDA's about recording a graph, as templates, so that a test without CUDA can use them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <exception>
#include <new>

namespace cellsam::cuda {

// An object of a class of libtorch's that may be larger in the library that runs than in the header that this one was compiled
// with, as at::cuda::CUDAGraph is between patch releases: it lies in more memory than the header asks for.
template <class Object>
class InRoom {
 public:
  InRoom() : memory_(::operator new(kBytes, kAlign)), object_(new (memory_) Object()) {}
  ~InRoom() {
    object_->~Object();
    ::operator delete(memory_, kAlign);
  }
  InRoom(const InRoom&) = delete;
  InRoom& operator=(const InRoom&) = delete;

  Object* operator->() const { return object_; }

  static constexpr std::size_t kBytes = std::max<std::size_t>(4 * sizeof(Object), 4096);

 private:
  static constexpr std::align_val_t kAlign{std::max<std::size_t>(alignof(Object), 64)};
  void* memory_;
  Object* object_;
};

// Begins or ends a recording. When that fails, torch before 2.14 leaves its allocator in the belief that the recording goes on,
// and then it frees nothing for the rest of the process. `end_pool` ends the recording's use of its memory pool, and throws
// where torch has done so; then `release_pool` gives the pool up, which from 2.14 on the graph does when it is destroyed.
template <class Step, class EndPool, class ReleasePool>
void leaving_no_pool(Step step, EndPool end_pool, ReleasePool release_pool) {
  try {
    step();
  } catch (...) {
    try {
      end_pool();
      release_pool();
    } catch (const std::exception&) {
      // There is nothing to end. The error of the recording is the one to tell.
    }
    throw;
  }
}

}  // namespace cellsam::cuda
