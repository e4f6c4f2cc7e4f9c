// CUDA graphs: what a stream is given while it records runs at every replay. Recording itself leaves no trace in memory, as on
// a GPU, where it starts nothing: what was written is undone, what was allocated is poisoned.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "fake_cuda/launch.h"

namespace fake_cuda {

using GraphNumber = std::uint64_t;

using Pool = std::uint64_t;  // of memory, which graphs may share; 0: none

Pool new_pool();
GraphNumber begin_graph(const Stream& stream, Pool pool);
// Throws when something was started that cannot be recorded.
void end_graph(GraphNumber graph, const Stream& current);
void replay_graph(GraphNumber graph, const Stream& stream);
void close_graph(GraphNumber graph);
Pool pool_of_graph(GraphNumber graph);

bool is_recording(const Stream& stream);
GraphNumber graph_on(const Stream& stream);  // 0: none
Pool recording_pool(const Stream& stream);   // 0: not recording

// Before work of the recording runs: keeps what it is about to overwrite.
void save_before_writing(const Work& work);
void record(const Work& work, std::function<void()> body);

// Spoils the recording and throws what CUDA does.
[[noreturn]] void refuse_to_record(const Stream& stream, const std::string& what);

// torch before 2.14 leaves its allocator in the belief that a failed recording goes on, and then it gives no memory back.
// Throws when no recording of this pool has failed.
void forget_failed_recording(Pool pool);
bool believes_in_failed_recording();

}  // namespace fake_cuda
