// What torch asks about CUDA as a whole, by the name that it looks for.
#include <ATen/ATen.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/GeneratorImpl.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "fake_cuda/device_allocator.h"
#include "fake_cuda/memory.h"
#include "fake_cuda/report.h"
#include "fake_cuda/settings.h"
#include "fake_cuda/streams.h"

namespace fake_cuda {
namespace {

// The engine draws its random numbers on the CPU: this one has a seed and nothing else.
class Generator final : public c10::GeneratorImpl {
 public:
  explicit Generator(int device)
      : GeneratorImpl(at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device)),
                      c10::DispatchKeySet(c10::DispatchKey::CUDA)) {}
  void set_current_seed(std::uint64_t seed) override { seed_ = seed; }
  void set_offset(std::uint64_t) override {}
  std::uint64_t get_offset() const override { return 0; }
  std::uint64_t current_seed() const override { return seed_; }
  std::uint64_t seed() override { return seed_; }
  void set_state(const c10::TensorImpl&) override {}
  c10::intrusive_ptr<c10::TensorImpl> get_state() const override { return at::zeros({16}, at::kByte).getIntrusivePtr(); }
  GeneratorImpl* clone_impl() const override { return new Generator(device().index()); }

 private:
  std::uint64_t seed_ = c10::default_rng_seed_val;
};

}  // namespace
}  // namespace fake_cuda

namespace at {

struct CUDAHooks final : CUDAHooksInterface {
  explicit CUDAHooks(CUDAHooksArgs) {}

  void init() const override {}
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasCUDA() const override { return true; }
  bool hasCUDART() const override { return true; }
  bool hasCuBLASLt() const override { return true; }
  bool hasPrimaryContext(DeviceIndex device) const override { return fake_cuda::has_context(device); }
  long versionCUDART() const override { return 13000; }
  std::string showConfig() const override { return "a pretend CUDA device"; }
  int getNumGPUs() const override { return fake_cuda::settings().devices; }

  const Generator& getDefaultGenerator(DeviceIndex device) const override {
    static const auto& all =
        *new std::vector<Generator>{make_generator<fake_cuda::Generator>(0), make_generator<fake_cuda::Generator>(1)};
    return all[static_cast<std::size_t>(device < 0 ? fake_cuda::current_device() : device)];
  }
  Generator getNewGenerator(DeviceIndex device) const override {
    return make_generator<fake_cuda::Generator>(device < 0 ? fake_cuda::current_device() : device);
  }

  Device getDeviceFromPtr(void* address) const override {
    const fake_cuda::Locked lock(fake_cuda::state());
    const auto* block = fake_cuda::block_at(address);
    TORCH_CHECK(block != nullptr, "no memory of a CUDA device");
    return {kCUDA, static_cast<DeviceIndex>(block->stream.device)};
  }
  bool isPinnedPtr(const void* address) const override { return fake_cuda::is_pinned(address); }
  Allocator* getPinnedMemoryAllocator() const override { return &fake_cuda::pinned_allocator(); }
  Allocator* getCUDADeviceAllocator() const override { return &fake_cuda::device_allocator(); }

  DeviceIndex deviceCount() const override { return static_cast<DeviceIndex>(fake_cuda::settings().devices); }
  DeviceIndex current_device() const override { return static_cast<DeviceIndex>(fake_cuda::current_device()); }
  DeviceIndex getCurrentDevice() const override { return current_device(); }
  void setCurrentDevice(DeviceIndex device) const override { fake_cuda::set_current_device(device); }
  DeviceIndex exchangeDevice(DeviceIndex device) const override {
    const auto before = current_device();
    fake_cuda::set_current_device(device);
    return before;
  }
  DeviceIndex maybeExchangeDevice(DeviceIndex device) const override {
    const auto before = current_device();
    fake_cuda::set_current_device_later(device);
    return before;
  }
  void deviceSynchronize(DeviceIndex device) const override { c10::impl::VirtualGuardImpl(kCUDA).synchronizeDevice(device); }
};

REGISTER_CUDA_HOOKS(CUDAHooks)

}  // namespace at
