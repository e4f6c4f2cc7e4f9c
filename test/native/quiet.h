// A command that nobody stops, and whose events nobody wants.
#pragma once

#include "engine.h"

namespace cellsam::test {

struct Quiet : Control {
  bool cancelled() const override { return false; }
  bool abandoned() const override { return false; }
  void emit(Value) override {}
};

}  // namespace cellsam::test
