// The session of kind "process_group": this process among those that train one model together.
#pragma once

#include <memory>

#include "base/options.h"
#include "engine.h"

namespace cellsam::engine {

// Joins the group. Options: those of dist::Membership by name, timeout in seconds. Model sessions with the option `distributed`
// belong to it.
//
// Commands and their arguments, by name:
//   place {}                  -> {rank, size, local_rank, core_sharers}, see dist::ProcessGroup
//   tell {message}            process 0: to all others
//   receive {}                -> {message: text, or null when cancelled}; the others
//   agree {code?, message?}   waits until all others call it; throws in all where one names a failure
std::unique_ptr<Session> open_process_group(Options& options);

}  // namespace cellsam::engine
