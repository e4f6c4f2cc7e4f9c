// Device memory: addresses that the host may not touch (PROT_NONE), and at a constant distance the same bytes for kernels, the
// shadow. What is allocated is poisoned, and every block knows which work wrote and read it last.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "fake_cuda/clock.h"

namespace fake_cuda {

constexpr int kPoison = 0xFF;  // NaN as a float of any width, -1 as an integer

struct Block {
  char* begin = nullptr;
  std::size_t size = 0;
  std::uint64_t serial = 0;  // of the allocation: addresses come again
  Stream stream;             // whose allocation it is
  std::uint64_t pool = 0;    // of graphs; 0: none
  bool retired = false;      // freed by the host, but a graph's replay still uses it
  Moment write;              // the last one, and who did it
  std::string writer;
  std::vector<Moment> reads;  // since then, one of each stream
  std::set<int> recorded;     // numbers of the streams that record_stream named
};

// Throws c10::OutOfMemoryError. The block belongs to `stream`.
void* allocate(const Stream& stream, std::size_t bytes, std::uint64_t pool);
void release(void* begin);

// What is left of a pool that no graph uses any more.
void release_pool(std::uint64_t pool);
void poison_pool(std::uint64_t pool);

Block* block_at(const void* address);  // null when no block covers it
bool is_device_memory(const void* address);

// Where kernels find the bytes of a device address; any other address is its own.
void* shadow(const void* address);
template <class T>
T* shadow(T* address) {
  return static_cast<T*>(shadow(static_cast<const void*>(address)));
}

struct Memory {
  std::size_t allocated = 0, peak = 0, reserved = 0, peak_reserved = 0, allocations = 0, refused = 0;
};
Memory memory_of(int device);
void reset_peak(int device);
void forget_unused();  // as emptyCache: what is reserved is what is allocated

// From now on a host access to device memory is a hazard that ends the process.
void watch_host_accesses();

}  // namespace fake_cuda
