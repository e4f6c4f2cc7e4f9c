#include "fake_cuda/place.h"

#include <errno.h>
#include <execinfo.h>
#include <link.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <string_view>
#include <vector>

namespace fake_cuda {
namespace {

constexpr int kFrames = 6;

struct Code {
  std::string library;
  std::uintptr_t base, begin, end;
};

// The parts of our libraries, and of the test program, that hold code. dladdr would look through every symbol of libtorch.
int add_code(dl_phdr_info* info, std::size_t, void* all) {
  const std::string_view path = info->dlpi_name;
  const auto name = path.empty() ? std::string_view(program_invocation_short_name) : path.substr(path.rfind('/') + 1);
  if (!name.starts_with("libcellsam_") && name != "controls") return 0;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& part = info->dlpi_phdr[i];
    if (part.p_type != PT_LOAD || (part.p_flags & PF_X) == 0) continue;
    const auto begin = static_cast<std::uintptr_t>(info->dlpi_addr + part.p_vaddr);
    static_cast<std::vector<Code>*>(all)->push_back({std::string(name), info->dlpi_addr, begin, begin + part.p_memsz});
  }
  return 0;
}

}  // namespace

std::string place() {
  std::vector<Code> ours;
  dl_iterate_phdr(&add_code, &ours);
  std::array<void*, 128> stack;
  const int depth = backtrace(stack.data(), static_cast<int>(stack.size()));
  std::string text;
  for (int i = 0, frames = 0; i < depth && frames < kFrames; ++i) {
    const auto address = reinterpret_cast<std::uintptr_t>(stack[static_cast<std::size_t>(i)]) - 1;  // within the call
    for (const auto& code : ours) {
      if (address < code.begin || address >= code.end) continue;
      std::array<char, 32> offset;
      std::snprintf(offset.data(), offset.size(), "+0x%zx", static_cast<std::size_t>(address - code.base));
      text += (text.empty() ? "" : " < ") + code.library + offset.data();
      ++frames;
    }
  }
  return text.empty() ? "a thread of torch" : text;
}

}  // namespace fake_cuda
