#include "optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace cellsam::optim {

ScheduleType parse_schedule_type(const std::string& name) {
  if (name == "none") return ScheduleType::none;
  if (name == "step") return ScheduleType::step;
  if (name == "plateau") return ScheduleType::plateau;
  if (name == "cosine") return ScheduleType::cosine;
  throw Error("ERR_INVALID_ARGUMENT", "scheduler must be none, step, plateau or cosine, not \"" + name + "\"");
}

Schedule::Schedule(ScheduleOptions options) : options_(options) {
  auto need = [](bool good, const char* what) {
    if (!good) throw Error("ERR_INVALID_ARGUMENT", std::string("schedule: ") + what);
  };
  need(options.total_steps >= 1, "total_steps must be at least 1");
  need(options.warmup_fraction >= 0 && options.warmup_fraction <= 1, "warmup_fraction must be in [0, 1]");
  need(options.step_at >= 0 && options.step_at <= 1, "step_at must be in [0, 1]");
  need(options.step_factor > 0 && options.step_factor <= 1, "step_factor must be in (0, 1]");
  need(options.plateau_factor > 0 && options.plateau_factor < 1, "plateau_factor must be in (0, 1)");
  need(options.plateau_patience >= 0, "plateau_patience must be at least 0");
  need(options.plateau_threshold >= 0 && options.plateau_threshold < 1, "plateau_threshold must be in [0, 1)");
}

double Schedule::factor(std::int64_t step) const {
  const auto total = static_cast<double>(options_.total_steps);
  double factor = 1;
  switch (options_.type) {
    case ScheduleType::none: break;
    case ScheduleType::step:
      if (step >= static_cast<std::int64_t>(options_.step_at * total)) factor = options_.step_factor;
      break;
    case ScheduleType::plateau: factor = plateau_; break;
    case ScheduleType::cosine:
      factor = 0.5 * (1 + std::cos(std::numbers::pi * std::min(1.0, static_cast<double>(step) / total)));
      break;
  }
  const double warmup = options_.warmup_fraction * total;
  return step < warmup ? factor * static_cast<double>(step) / warmup : factor;
}

void Schedule::observe(double loss) {
  if (options_.type != ScheduleType::plateau) return;
  if (loss < best_ * (1 - options_.plateau_threshold)) {
    best_ = loss;
    bad_ = 0;
  } else if (++bad_ > options_.plateau_patience) {
    plateau_ *= options_.plateau_factor;
    bad_ = 0;
  }
}

Dict Schedule::state() const {
  return {{"factor", plateau_}, {"best", std::isfinite(best_) ? Value(best_) : Value()}, {"bad", bad_}};
}

void Schedule::load_state(const Dict& state) {
  auto read = [&](const char* name, bool optional) -> const double* {
    const auto found = state.find(name);
    const auto* number = found == state.end() ? nullptr : found->second.as<double>();
    const bool absent = found != state.end() && found->second.is_null();
    if (number == nullptr && !(optional && absent)) {
      throw Error("ERR_STATE_MISMATCH",
                  std::string("schedule state: ") + name + " must be a number; resume from a state of this version");
    }
    return number;
  };
  const auto *factor = read("factor", false), *best = read("best", true), *bad = read("bad", false);
  plateau_ = *factor;
  best_ = best == nullptr ? std::numeric_limits<double>::infinity() : *best;
  bad_ = static_cast<std::int64_t>(*bad);
}

}  // namespace cellsam::optim
