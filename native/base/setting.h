// What a setting is: an option that users of the package set too. Its name, range and default are written once, in
// lib/settings/, and come here as constants in the generated headers settings/GROUP.h, such as setting::inference::nms_iou.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>

namespace cellsam::setting {

struct Range {
  double minimum = -std::numeric_limits<double>::infinity();
  double exclusive_minimum = -std::numeric_limits<double>::infinity();
  double maximum = std::numeric_limits<double>::infinity();
  double exclusive_maximum = std::numeric_limits<double>::infinity();
  bool or_zero = false;  // 0 is allowed besides

  // For finite numbers.
  constexpr bool holds(double value) const {
    if (or_zero && value == 0) return true;
    return value >= minimum && value > exclusive_minimum && value <= maximum && value < exclusive_maximum;
  }
};

// `expected` says in messages what a value must be.
struct Flag {
  std::string_view name, expected;
  bool default_value = false;
};

struct Number {
  std::string_view name, expected;
  Range range;
  double default_value = 0;
};

struct Integer {
  std::string_view name, expected;
  Range range;
  std::int64_t default_value = 0;
};

struct Choice {
  std::string_view name, expected;
  std::string_view choices;  // with "|" between them; where one is "on", true and false mean "on" and "off"
  std::string_view default_value;
};

// A setting that may be unset, and is by default.
template <class Kind>
struct Optional {
  Kind kind;
};

}  // namespace cellsam::setting
