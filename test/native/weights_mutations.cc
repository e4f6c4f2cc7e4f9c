// weights_mutations [TIMES]: more than TIMES x 10 000 (default: once) damaged and malicious checkpoints, from a fixed seed.
// Every one gives a coded error or exactly the tensors that were saved: no crash, no hang, no large allocation, no wrong
// number, and nothing is executed.
#include <sys/resource.h>
#include <unistd.h>

#include <ctime>
#include <functional>

#include "base/rng.h"
#include "native/program.h"
#include "weights/checkpoint.h"
#include "weights/pth.h"
#include "weights/safetensors.h"
#include "weights_check.h"
#include "weights_craft.h"

namespace cellsam::test::weights_mutations_program {

using namespace cellsam::weights;
using namespace cellsam::weights::test;

namespace {

constexpr double kSlowest = 2.0;               // seconds of the processor for one file
constexpr std::int64_t kMostMemory = 1 << 30;  // bytes, beyond what the program has at its start

struct Tally {
  int files = 0, refused = 0, equal = 0, other = 0;
};
Tally tally;

class Trial {
 public:
  explicit Trial(const Scratch& scratch) : path_(scratch / "trial") {}

  // Reads `bytes`; `expected` null: any tensors are fine that can be read to the end (the change had a valid checksum).
  void run(const std::string& bytes, const TensorMap* expected, const std::string& what) {
    spit(path_, bytes);
    const auto begin = std::clock();
    TensorMap found;
    std::string message;
    const auto code = code_of([&] { found = read_checkpoint(path_); }, &message);
    ++tally.files;
    if (code.empty()) {
      accept(found, expected, what);
    } else {
      ++tally.refused;
      check(code.starts_with("ERR_CHECKPOINT_"), what + ": " + code);  // ERR_OUT_OF_MEMORY would be a large allocation
      check(message.size() < 1000, what + ": a short message");
      for (char c : message) check(c >= 0x20 && c < 0x7f, what + ": a printable message");
    }
    check(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC < kSlowest, what + ": too slow");
  }

  // A crafted file with a known answer.
  void expect(const std::string& bytes, const std::string& code, const std::string& what) {
    spit(path_, bytes);
    std::string message;
    const auto found = code_of([&] { read_checkpoint(path_); }, &message);
    ++tally.files;
    ++(code.empty() ? tally.equal : tally.refused);
    check(found == code, what + ": expected '" + code + "', got '" + found + "' " + message);
  }

  const std::string& path() const { return path_; }

 private:
  void accept(const TensorMap& found, const TensorMap* expected, const std::string& what) {
    if (expected != nullptr) {
      ++tally.equal;
      check(same_bits(found, *expected), what + ": accepted with other tensors");
      return;
    }
    ++tally.other;
    for (const auto& [name, tensor] : found) {  // under the address sanitizer this finds a view out of bounds
      unsigned sum = 0;
      const auto* bytes = static_cast<const unsigned char*>(tensor.const_data_ptr());
      for (std::size_t i = 0; i < tensor.nbytes(); ++i) sum += bytes[i];
      check(tensor.is_contiguous() && sum < 0xffffffff, what + ": a usable tensor");
    }
  }

  std::string path_;
};

struct Case {
  std::string name, bytes;
  TensorMap tensors;
};

std::vector<Case> small_checkpoints(const Scratch& scratch) {
  std::vector<Case> cases;
  const auto add = [&](const std::string& name, const TensorMap& map) {
    write_pth(scratch / "base", map);
    cases.push_back({name + ".pth", slurp(scratch / "base"), map});
    write_safetensors(scratch / "base", map, {{"a", "b"}});
    cases.push_back({name + ".safetensors", slurp(scratch / "base"), map});
  };
  add("every dtype", every_dtype());
  add("sam", toy_sam());
  add("cellsam", toy_cellsam(false));
  add("cellsam_adv", toy_cellsam(true));
  add("one", {{"w", at::arange(6, at::kFloat).view({2, 3})}});
  return cases;
}

std::string mutated(std::string bytes, CounterRng& rng, std::string& what) {
  const auto place = [&] { return rng.below(bytes.size()); };
  const auto kind = rng.below(10);
  if (kind < 5) {  // one bit or one byte
    const auto at = place();
    what = "flip at " + std::to_string(at);
    bytes[at] = static_cast<char>(bytes[at] ^ (rng.below(2) == 0 ? 1u << rng.below(8) : 1 + rng.below(255)));
  } else if (kind == 5) {
    what = "several flips";
    for (auto flips = 2 + rng.below(8); flips > 0; --flips) bytes[place()] ^= static_cast<char>(1 + rng.below(255));
  } else if (kind == 6) {
    bytes.resize(rng.below(bytes.size()));
    what = "cut to " + std::to_string(bytes.size());
  } else if (kind == 7) {
    what = "a block removed";
    bytes.erase(place(), 1 + rng.below(64));
  } else if (kind == 8) {
    what = "a block doubled";
    const auto block = bytes.substr(place(), 1 + rng.below(64));
    bytes.insert(place(), block);
  } else {
    what = "a block overwritten";
    const auto from = place(), to = place();
    const auto block = bytes.substr(from, 1 + rng.below(32));
    bytes.replace(to, std::min(block.size(), bytes.size() - to), block.substr(0, bytes.size() - to));
    for (auto numbers = rng.below(3); numbers > 0; --numbers) {  // widths and counts love these
      const auto at = place();
      bytes.replace(at, std::min<std::size_t>(4, bytes.size() - at),
                    std::string("\xff\xff\xff\xff").substr(0, std::min<std::size_t>(4, bytes.size() - at)));
    }
  }
  return bytes;
}

// A .safetensors that has lost both of its marks is like those of others, which have no checksum.
bool is_ours(const std::string& name, const std::string& bytes) {
  const auto has = [&](std::string_view text) { return bytes.find(text) != std::string::npos; };
  return name.ends_with(".pth") || has("cellsam.sha256") || has("cellsam.format");
}

void mutate_files(const Scratch& scratch, Trial& trial, int times) {
  const auto cases = small_checkpoints(scratch);
  CounterRng rng{2026, 1};
  for (int i = 0; i < times * 7'000; ++i) {
    const auto& chosen = cases[static_cast<std::size_t>(i) % cases.size()];
    std::string what;
    const auto bytes = mutated(chosen.bytes, rng, what);
    if (bytes == chosen.bytes) continue;
    trial.run(bytes, is_ours(chosen.name, bytes) ? &chosen.tensors : nullptr,
              chosen.name + ", " + what + ", round " + std::to_string(i));
  }
  // Every bit of the structures at the end of a zip, and of a safetensors header.
  for (const auto& chosen : {cases[8], cases[9]}) {
    const bool zip = chosen.name.ends_with(".pth");
    const std::size_t from = zip ? chosen.bytes.rfind("PK\x06\x06") : 0, to = zip ? chosen.bytes.size() : 80;
    for (std::size_t bit = 8 * from; bit < 8 * to; ++bit) {
      auto bytes = chosen.bytes;
      bytes[bit / 8] ^= static_cast<char>(1 << bit % 8);
      trial.run(bytes, &chosen.tensors, chosen.name + ", bit " + std::to_string(bit));
    }
  }
}

// The same on the pickle and on single records, with the checksums made right again: what an attacker would do.
void mutate_pickles(Trial& trial, int times) {
  CounterRng rng{2026, 2};
  const auto pickle = crafted::state_dict(crafted::tensor("FloatStorage", "0", 6, 0, {2, 3}, {3, 1}));
  const std::string data(24, '\x3f');
  trial.expect(crafted::pth(pickle, data), "", "the crafted base itself");
  const std::string opcodes =
      "().012NJKMGXTUBCqrhjQRbcisauet]}oP\x80\x81\x82\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96";
  for (int i = 0; i < times * 3'000; ++i) {
    auto bytes = pickle;
    std::string what = "opcodes inserted";
    if (rng.below(2) == 0) {
      bytes = mutated(bytes, rng, what);
    } else {
      for (auto count = 1 + rng.below(6); count > 0; --count)
        bytes.insert(rng.below(bytes.size()), 1, opcodes[rng.below(opcodes.size())]);
    }
    trial.run(crafted::pth(bytes, data), nullptr, "pickle: " + what + ", round " + std::to_string(i));
  }
  for (int i = 0; i < times * 1'000; ++i) {  // opcodes at random
    std::string bytes("\x80\x02", 2);
    for (auto count = rng.below(60); count > 0; --count) bytes += opcodes[rng.below(opcodes.size())];
    trial.run(crafted::pth(bytes + '.', data), nullptr, "random opcodes, round " + std::to_string(i));
  }
}

void craft(Trial& trial, const std::string& canary) {
  for (const auto& [name, bytes, code] : crafted::malicious(canary)) trial.expect(bytes, code, name);
  for (const auto& [name, bytes, values] : crafted::harmless()) {
    trial.expect(bytes, "", name);
    if (code_of([&] { read_checkpoint(trial.path()); }).empty()) {
      const auto found = read_checkpoint(trial.path());
      check(found.size() == 1 && at::equal(found[0].second.flatten().to(at::kFloat), at::tensor(values)),
            name + ": the right numbers");
    }
  }
}

}  // namespace

TEST_PROGRAM(weights_mutations) {
  const int times = argc > 1 ? std::max(1, std::atoi(argv[1])) : 1;
  ::alarm(static_cast<unsigned>(300 * times));  // a hang ends the program with a signal
  const Scratch scratch;
  Trial trial(scratch);
  trial.run("warm", nullptr, "libtorch's own allocations come before the limit");
  every_dtype();
#ifndef __SANITIZE_ADDRESS__
  long pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const auto most = static_cast<rlim_t>(pages * ::sysconf(_SC_PAGESIZE) + kMostMemory);
  const rlimit limit{most, most};
  ::setrlimit(RLIMIT_AS, &limit);
#endif
  const auto canary = scratch / "canary";
  craft(trial, canary);
  mutate_files(scratch, trial, times);
  mutate_pickles(trial, times);
  check(!std::filesystem::exists(canary), "something was executed: the canary exists");
  check(tally.files >= times * 10'000, "enough files");
  std::printf("%d files: %d refused, %d equal, %d other tensors within a valid checksum\n", tally.files, tally.refused,
              tally.equal, tally.other);
  return finished("weights_mutations");
}

}  // namespace cellsam::test::weights_mutations_program
