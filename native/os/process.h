// The priority of threads and the environment of the process.
#pragma once

#include <optional>
#include <string>

namespace cellsam::os {

// Lowers the priority of the calling thread: on Linux by 10 of 19 levels, also for threads that it starts. Does nothing on
// macOS, where the only way is to declare the work as unimportant.
void lower_thread_priority();

// The value of an environment variable, also if JavaScript has set it in process.env; empty if it is not set.
std::optional<std::string> environment(const char* name);

// Sets an environment variable, for libraries that are loaded later, unless it is set already.
void set_default_environment(const char* name, const char* value);

}  // namespace cellsam::os
