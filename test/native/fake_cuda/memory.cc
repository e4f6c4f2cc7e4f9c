#include "fake_cuda/memory.h"

#include <c10/util/Exception.h>
#include <execinfo.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "fake_cuda/place.h"
#include "fake_cuda/report.h"
#include "fake_cuda/settings.h"

namespace fake_cuda {
namespace {

constexpr std::size_t kAddresses = std::size_t{64} << 30;  // of a device
constexpr std::size_t kAlignment = 512;                    // as torch's allocator has it
constexpr std::size_t kKept = std::size_t{64} << 20;  // a freed block of this size stays with the process: faults cost time

char* reserve(int protection) {
  auto* at = mmap(nullptr, kAddresses * kDevices, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) {
    std::perror("fake_cuda: mmap");
    std::abort();
  }
  madvise(at, kAddresses * kDevices, MADV_DONTDUMP);
  return static_cast<char*>(at);
}

char* device_memory() {
  static char* const at = reserve(PROT_NONE);
  return at;
}

char* shadow_memory() {
  static char* const at = [] {
    auto* memory = reserve(PROT_READ | PROT_WRITE);
    madvise(memory, kAddresses * kDevices, MADV_HUGEPAGE);
    return memory;
  }();
  return at;
}

// Memory that was freed while another stream might still use it: the next allocation of its stream may get it, and must come
// after that use.
struct Freed {
  Moment use;
  std::string what;
};

struct State {
  std::map<char*, Block> blocks;
  std::array<std::map<char*, std::size_t>, kDevices> holes;
  std::array<Memory, kDevices> memory;
  std::array<std::vector<Freed>, kStreams> freed;
  std::uint64_t allocations = 0;
  State() {
    for (int d = 0; d < kDevices; ++d) holes[static_cast<std::size_t>(d)][device_memory() + kAddresses * d] = kAddresses;
  }
};

State& all() {
  static auto& s = *new State;
  return s;
}

void check_freed(const Stream& stream) {
  auto& list = all().freed[static_cast<std::size_t>(stream.number())];
  for (const auto& [use, what] : list) {
    if (!clock_of(stream).knows(use) && !host_clock().knows(use))
      hazard("an allocation on " + stream.name() + " may get memory that is still in use: " + what);
  }
  list.clear();
}

void remember_uses(const Block& block) {
  const auto check = [&](const Moment& use, const char* how) {
    if (use.stream < 0 || use.stream == block.stream.number() || block.recorded.count(use.stream) > 0) return;
    if (clock_of(block.stream).knows(use) || host_clock().knows(use)) return;
    all().freed[static_cast<std::size_t>(block.stream.number())].push_back(
        {use, "freed at " + place() + " while another stream " + how + " it, without record_stream"});
  };
  check(block.write, "wrote");
  for (const auto& use : block.reads) check(use, "read");
}

// Gives the addresses back, joined with what is free beside them.
void forget(std::map<char*, Block>::iterator it) {
  const auto& block = it->second;
  auto& holes = all().holes[static_cast<std::size_t>(block.stream.device)];
  char* begin = block.begin;
  auto size = block.size;
  if (size > kKept) madvise(shadow(begin), size, MADV_DONTNEED);
  auto next = holes.lower_bound(begin);
  if (next != holes.end() && next->first == begin + size) {
    size += next->second;
    next = holes.erase(next);
  }
  if (next != holes.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == begin) {
      begin = before->first;
      size += before->second;
      holes.erase(before);
    }
  }
  holes[begin] = size;
  all().blocks.erase(it);
}

[[noreturn]] void refuse(Memory& memory, int device, std::size_t bytes, const char* why) {
  ++memory.refused;
  C10_THROW_ERROR(OutOfMemoryError, "CUDA out of memory. Tried to allocate " + std::to_string(bytes) + " bytes. GPU " +
                                        std::to_string(device) + " has a total capacity of " +
                                        std::to_string(settings().memory) + " bytes, of which " +
                                        std::to_string(memory.allocated) + " are allocated (pretend device: " + why + ")");
}

struct sigaction earlier;

void on_fault(int signal, siginfo_t* info, void* context) {
  if (is_device_memory(info->si_addr)) {
    write_in_signal("{\"HAZARD\":\"the host touches device memory\",\"at\":\"see the functions on standard error\"}\n");
    std::array<void*, 64> stack;
    backtrace_symbols_fd(stack.data(), backtrace(stack.data(), static_cast<int>(stack.size())), STDERR_FILENO);
    _exit(139);
  }
  sigaction(SIGSEGV, &earlier, nullptr);  // whoever was there before, when the instruction faults again
}

}  // namespace

void* allocate(const Stream& stream, std::size_t bytes, std::uint64_t pool) {
  const Locked lock(state());
  open_context(stream.device);
  auto& memory = all().memory[static_cast<std::size_t>(stream.device)];
  auto& holes = all().holes[static_cast<std::size_t>(stream.device)];
  const auto size = (std::max<std::size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
  check_freed(stream);
  if (++all().allocations == settings().failing_allocation) refuse(memory, stream.device, bytes, "FAKE_CUDA_FAIL_ALLOCATION");
  auto best = holes.end();
  for (auto hole = holes.begin(); hole != holes.end(); ++hole)
    if (hole->second >= size && (best == holes.end() || hole->second < best->second)) best = hole;
  if (best == holes.end() || memory.allocated + size > settings().memory) refuse(memory, stream.device, bytes, "all is used");
  char* const begin = best->first;
  const auto rest = best->second - size;
  holes.erase(best);
  if (rest > 0) holes[begin + size] = rest;
  auto& block = all().blocks[begin];
  block.begin = begin, block.size = size, block.serial = all().allocations, block.stream = stream, block.pool = pool;
  memory.allocated += size;
  ++memory.allocations;
  memory.peak = std::max(memory.peak, memory.allocated);
  memory.reserved = std::max(memory.reserved, memory.allocated);
  memory.peak_reserved = std::max(memory.peak_reserved, memory.reserved);
  count(&Counts::allocations);
  std::memset(shadow(begin), kPoison, size);
  return begin;
}

void release(void* begin) {
  if (begin == nullptr) return;
  const Locked lock(state());
  const auto it = all().blocks.find(static_cast<char*>(begin));
  if (it == all().blocks.end() || it->second.retired) return hazard("memory is freed that is not allocated");
  auto& block = it->second;
  remember_uses(block);
  auto& memory = all().memory[static_cast<std::size_t>(block.stream.device)];
  memory.allocated -= block.size;
  --memory.allocations;
  if (block.pool == 0) return forget(it);
  block.retired = true;
}

void release_pool(std::uint64_t pool) {
  const Locked lock(state());
  for (auto it = all().blocks.begin(); it != all().blocks.end();) {
    const auto here = it++;
    if (here->second.pool != pool) continue;
    if (here->second.retired) {
      forget(here);
    } else {
      here->second.pool = 0;
    }
  }
}

void poison_pool(std::uint64_t pool) {
  const Locked lock(state());
  for (const auto& [begin, block] : all().blocks)
    if (block.pool == pool) std::memset(shadow(begin), kPoison, block.size);
}

Block* block_at(const void* address) {
  auto* at = static_cast<char*>(const_cast<void*>(address));
  auto it = all().blocks.upper_bound(at);
  if (it == all().blocks.begin()) return nullptr;
  auto& block = std::prev(it)->second;
  return at < block.begin + block.size ? &block : nullptr;
}

bool is_device_memory(const void* address) {
  return address >= device_memory() && address < device_memory() + kAddresses * kDevices;
}

void* shadow(const void* address) {
  auto* at = static_cast<char*>(const_cast<void*>(address));
  return is_device_memory(at) ? shadow_memory() + (at - device_memory()) : at;
}

Memory memory_of(int device) {
  const Locked lock(state());
  return all().memory[static_cast<std::size_t>(device)];
}

void reset_peak(int device) {
  const Locked lock(state());
  auto& memory = all().memory[static_cast<std::size_t>(device)];
  memory.peak = memory.allocated;
  memory.peak_reserved = memory.reserved;
}

void forget_unused() {
  const Locked lock(state());
  for (auto& memory : all().memory) memory.reserved = memory.allocated;
}

void watch_host_accesses() {
  (void)device_memory(), (void)shadow_memory();
  struct sigaction action {};
  action.sa_sigaction = &on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &action, &earlier);
}

}  // namespace fake_cuda
