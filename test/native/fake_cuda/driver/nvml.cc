// libnvidia-ml.so.1: what NVML says of the pretend devices.
#include <cstdio>

namespace {

constexpr unsigned long long kGiB = 1ULL << 30;
int device;  // a handle has to point somewhere

}  // namespace

extern "C" {

int nvmlInit_v2() { return 0; }
int nvmlShutdown() { return 0; }

int nvmlSystemGetDriverVersion(char* version, unsigned size) {
  std::snprintf(version, size, "580.00.00");
  return 0;
}

int nvmlDeviceGetHandleByPciBusId_v2(const char*, void** handle) {
  *handle = &device;
  return 0;
}

int nvmlDeviceGetMemoryInfo(void*, unsigned long long* total_free_used) {
  total_free_used[0] = 16 * kGiB;
  total_free_used[1] = 15 * kGiB;
  total_free_used[2] = kGiB;
  return 0;
}

}  // extern "C"
