// This process and its threads, as the system sees them.
#pragma once

#include <optional>
#include <string>

namespace cellsam::os {

// The calling thread steps back for others, by 10 of Linux's 19 levels; there the threads that it starts do so too. Nothing on
// macOS, where the only way is to promise that the work does not matter.
void step_back();

// A variable of the environment as it is now, with what JavaScript has set in process.env; none when it is not set.
std::optional<std::string> environment(const char* name);

// Sets a variable for the libraries that are loaded later, unless it is set already.
void set_default_environment(const char* name, const char* value);

}  // namespace cellsam::os
