#include "fake_cuda/report.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <vector>

#include "fake_cuda/clock.h"
#include "fake_cuda/memory.h"
#include "fake_cuda/place.h"
#include "fake_cuda/settings.h"

namespace fake_cuda {
namespace {

using Tally = std::map<std::string, std::uint64_t>;

struct Span {
  std::string what;
  Counts counts;
  Tally operators, waits;
};

constexpr std::size_t kSpansWithNames = 64;  // a long training would fill the report

struct Seen {
  Span total, now;
  std::vector<Span> spans;
  Tally hazards, notes;
  std::array<std::string, kDevices> contexts;  // where each was opened; empty: not
};

Seen& seen() {
  static auto& all = *new Seen;
  return all;
}

int report_file() {
  static const int file = [] {
    const auto& path = settings().report;
    return path.empty() ? STDERR_FILENO : open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  }();
  return file;
}

// One write, so that the lines of several processes do not mix.
void write_line(std::string line) {
  line += '\n';
  for (std::size_t done = 0; done < line.size();) {
    const auto n = write(report_file(), line.data() + done, line.size() - done);
    if (n <= 0) return;  // the folder may be gone at the end of a process
    done += static_cast<std::size_t>(n);
  }
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + '"';
}

std::string json(const Tally& tally) {
  std::string out = "{";
  for (const auto& [name, n] : tally) out += (out.size() > 1 ? "," : "") + quoted(name) + ":" + std::to_string(n);
  return out + "}";
}

std::string json(const Counts& c) {
  const std::pair<const char*, std::uint64_t> all[] = {{"launches", c.launches},
                                                       {"waits", c.waits},
                                                       {"eventWaits", c.event_waits},
                                                       {"toDevice", c.to_device},
                                                       {"toHost", c.to_host},
                                                       {"onDevice", c.on_device},
                                                       {"events", c.events},
                                                       {"allocations", c.allocations},
                                                       {"pinnedBlocks", c.pinned_blocks},
                                                       {"replays", c.replays}};
  std::string out;
  for (const auto& [name, n] : all) out += (out.empty() ? "\"" : ",\"") + std::string(name) + "\":" + std::to_string(n);
  return out;
}

std::string json(const Span& span, bool names) {
  auto out = "{\"what\":" + quoted(span.what) + "," + json(span.counts);
  if (names) out += ",\"operators\":" + json(span.operators) + ",\"waitsFor\":" + json(span.waits);
  return out + "}";
}

std::string json(int device) {
  const auto m = memory_of(device);
  const auto& opened = seen().contexts[static_cast<std::size_t>(device)];
  return "{\"allocated\":" + std::to_string(m.allocated) + ",\"peak\":" + std::to_string(m.peak) +
         ",\"outOfMemory\":" + std::to_string(m.refused) + ",\"context\":" + (opened.empty() ? "null" : quoted(opened)) + "}";
}

void write_report() {
  const Locked lock(state());
  auto& s = seen();
  bool used = false;
  for (const auto& opened : s.contexts) used = used || !opened.empty();
  if (!used) return;
  s.total.what = "process";
  std::string spans, devices;
  for (const auto& span : s.spans) {
    const bool names = static_cast<std::size_t>(&span - s.spans.data()) < kSpansWithNames;
    spans += (spans.empty() ? "" : ",") + json(span, names);
  }
  for (int d = 0; d < settings().devices; ++d) devices += (devices.empty() ? "" : ",") + json(d);
  write_line("{\"process\":" + std::to_string(getpid()) + ",\"total\":" + json(s.total, true) + ",\"spans\":[" + spans +
             "],\"hazards\":" + json(s.hazards) + ",\"notes\":" + json(s.notes) + ",\"devices\":[" + devices + "]}");
}

bool is_optimizer(const std::string& name) {
  return name.find("_fused_adam") != std::string::npos || name.find("_fused_sgd") != std::string::npos;
}

// What an optimiser starts between its parameter groups.
bool is_between_groups(const std::string& name) {
  return name.find("_foreach_") != std::string::npos || name.find("copy_") != std::string::npos || name == "fill";
}

[[maybe_unused]] const int at_exit = std::atexit(&write_report);

}  // namespace

void count(std::uint64_t Counts::*what) {
  const Locked lock(state());
  ++(seen().total.counts.*what);
  ++(seen().now.counts.*what);
}

void count_launch(const std::string& name) {
  const Locked lock(state());
  static bool stepping = false;
  if (is_optimizer(name)) {
    if (!stepping) end_span("step");
    stepping = true;
  } else if (!is_between_groups(name)) {
    stepping = false;
  }
  count(&Counts::launches);
  const auto key = settings().places ? name + " @ " + place() : name;
  ++seen().total.operators[key];
  ++seen().now.operators[key];
}

void count_wait(const std::string& why) {
  const Locked lock(state());
  count(&Counts::waits);
  const auto key = why + " @ " + place();  // few enough to name each
  ++seen().total.waits[key];
  ++seen().now.waits[key];
}

void hazard(const std::string& what) {
  const Locked lock(state());
  const auto at = place();
  if (seen().hazards[what + " @ " + at]++ == 0)
    write_line("{\"HAZARD\":" + quoted(what) + ",\"at\":" + quoted(at) + ",\"process\":" + std::to_string(getpid()) + "}");
}

void note(const std::string& what) {
  const Locked lock(state());
  ++seen().notes[what];
}

void end_span(const char* what) {
  const Locked lock(state());
  auto& s = seen();
  s.now.what = what;
  if (s.spans.size() >= kSpansWithNames) s.now.operators.clear(), s.now.waits.clear();
  s.spans.push_back(std::move(s.now));
  s.now = {};
}

void open_context(int device) {
  const Locked lock(state());
  auto& opened = seen().contexts[static_cast<std::size_t>(device)];
  if (opened.empty()) opened = place();
}

bool has_context(int device) {
  const Locked lock(state());
  return !seen().contexts[static_cast<std::size_t>(device)].empty();
}

void write_in_signal(const char* line) { (void)!write(report_file(), line, std::strlen(line)); }

}  // namespace fake_cuda
