// The file that an atomic write fills before it is renamed to its target. Names are random: a process that was killed leaves
// its file behind, and in a container the next run has the same process id, so a name made of that would be taken for ever.
#pragma once

#include <string>

namespace cellsam {

struct FreshFile {
  int descriptor = -1;  // open for writing and empty; -1: errno says why there is none
  std::string path;     // beside the target, "TARGET.<16 hex digits>.tmp"
};

// Creates a file that nobody else has. The caller closes it, and renames or removes it.
FreshFile create_beside(const std::string& target);

}  // namespace cellsam
