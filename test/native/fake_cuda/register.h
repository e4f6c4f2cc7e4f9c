// What has to be made known to torch, in the order in which register.cc does it.
#pragma once

namespace fake_cuda {

void register_guard();
void register_attention();

}  // namespace fake_cuda
