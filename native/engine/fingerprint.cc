#include "engine/fingerprint.h"

#include <ATen/ATen.h>

#include <cstdint>
#include <cstdio>

namespace cellsam::engine {

std::string fingerprint(const at::Tensor& tensor) {
  const auto plain = tensor.detach().to(at::kCPU).contiguous();
  const auto* bytes = static_cast<const unsigned char*>(plain.data_ptr());
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (std::size_t i = 0; i < plain.nbytes(); ++i) hash = (hash ^ bytes[i]) * 0x100000001b3ULL;
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

}  // namespace cellsam::engine
