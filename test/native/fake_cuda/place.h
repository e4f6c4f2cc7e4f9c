#pragma once

#include <string>

namespace fake_cuda {

// The functions of this project that are running, innermost first, as library+offset.
std::string place();

}  // namespace fake_cuda
