// Recording a CUDA graph without CUDA: what a failed recording leaves in the allocator, by the release of torch, and a graph
// that is larger in the library than in its header.
#include "cuda/recording.h"

#include <cstring>
#include <stdexcept>
#include <string>

#include "native/checks.h"
#include "native/program.h"

namespace cellsam::test::cuda_recording_program {

namespace {

// The memory pools of torch's allocator, as far as a recording uses them.
struct Allocator {
  bool recording = false;
  int users = 0;

  void begin() { recording = true, ++users; }
  void end_pool() {
    if (!recording) throw std::runtime_error("endAllocatePool: not currently recording");
    recording = false;
  }
  void release_pool() {
    if (--users < 0) throw std::logic_error("released more often than it was taken");
  }
};

// What at::cuda::CUDAGraph does about its pool in a release of torch.
struct Release {
  const char* name;
  bool ends_first;       // when a recording fails, its use of the pool has been ended
  bool always_releases;  // the destructor releases the pool also when the recording failed
};
constexpr Release kReleases[] = {{"torch 2.13", false, false}, {"torch 2.14", true, true}, {"torch between", false, true}};

struct Graph {
  Allocator& allocator;
  const Release& release;
  bool ended = false;

  Graph(Allocator& of, const Release& which) : allocator(of), release(which) { allocator.begin(); }
  void capture_end(bool fails) {
    if (release.ends_first) allocator.end_pool();
    if (fails) throw std::runtime_error("operation failed due to a previous error during capture");
    if (!release.ends_first) allocator.end_pool();
    ended = true;
  }
  ~Graph() {
    if (ended || release.always_releases) allocator.release_pool();
  }
};

void check_end(Checks& checks, const Release& release, bool fails) {
  const auto name = std::string(release.name) + (fails ? ", failed" : ", ended");
  Allocator allocator;
  std::string told;
  {
    Graph graph(allocator, release);
    try {
      cuda::leaving_no_pool([&] { graph.capture_end(fails); }, [&] { allocator.end_pool(); },
                            [&] {
                              if (!release.always_releases) allocator.release_pool();
                            });
    } catch (const std::exception& error) {
      told = error.what();
    }
    checks.holds(name + ": the allocator is not recording any more", !allocator.recording);
  }
  checks.holds(name + ": nobody uses the pool any more", allocator.users == 0);
  checks.holds(name + ": the error of the recording is told", fails == (told.find("during capture") != std::string::npos));
}

// A class of which the library that runs knows more members than the header.
struct InHeader {
  InHeader() { std::memset(static_cast<void*>(this), 1, kInLibrary); }
  ~InHeader() { std::memset(static_cast<void*>(this), 2, kInLibrary); }
  static constexpr std::size_t kInLibrary = 1000;
  char known[300];
};

}  // namespace

TEST_PROGRAM(cuda_recording) {
  Checks checks("cuda_recording");
  for (const auto& release : kReleases) {
    for (const bool fails : {false, true}) check_end(checks, release, fails);
  }
  const cuda::InRoom<InHeader> object;
  checks.holds("there is room for a larger class", cuda::InRoom<InHeader>::kBytes >= 3 * sizeof(InHeader));
  checks.holds("which is made in it", object->known[0] == 1);
  return checks.finish();
}

}  // namespace cellsam::test::cuda_recording_program
