// Tells ThreadSanitizer of an order between threads that it cannot see, since libtorch and its OpenMP library are not built
// with it. Nothing happens in other builds.
#pragma once

#if defined(__SANITIZE_THREAD__)
#define CELLSAM_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CELLSAM_THREAD_SANITIZER 1
#endif
#endif

#ifdef CELLSAM_THREAD_SANITIZER
#include <sanitizer/tsan_interface.h>
#endif

namespace cellsam {

// What this thread did until now is done before what another thread does after `follows` of the same address.
inline void precedes([[maybe_unused]] void* address) {
#ifdef CELLSAM_THREAD_SANITIZER
  __tsan_release(address);
#endif
}

inline void follows([[maybe_unused]] void* address) {
#ifdef CELLSAM_THREAD_SANITIZER
  __tsan_acquire(address);
#endif
}

}  // namespace cellsam
