// What the pretend device has seen, as lines of JSON: a hazard at once, the counts when the process ends (README.md).
#pragma once

#include <cstdint>
#include <string>

namespace fake_cuda {

struct Counts {
  std::uint64_t launches = 0;     // operators and kernels of our own that reached the device; a graph's replay is one
  std::uint64_t waits = 0;        // the host waited for all that a stream had to do
  std::uint64_t event_waits = 0;  // ... for one event
  std::uint64_t to_device = 0, to_host = 0, on_device = 0;  // copies
  std::uint64_t events = 0, allocations = 0, pinned_blocks = 0, replays = 0;
};

void count(std::uint64_t Counts::*what);
void count_launch(const std::string& name);
void count_wait(const std::string& why);

// Something that would go wrong on a GPU, now or on another day.
void hazard(const std::string& what);

// Something that is right and that a reader of the report may want to know.
void note(const std::string& what);

// Ends a span of the report: "step" before an optimiser's step, "span" where the peak of memory is reset.
void end_span(const char* what);

// The device gets a context, which takes memory and time on a real one.
void open_context(int device);
bool has_context(int device);

// Writes a line at once, without a lock and without the heap: for a signal's handler.
void write_in_signal(const char* line);

}  // namespace fake_cuda
