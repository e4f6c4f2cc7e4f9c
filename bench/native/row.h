// What a measured piece of work of the product looks like to the bench program: made once from a fixture on disk, checked once
// against the peer's numbers, then repeated. main.cc speaks to the harness; a row knows nothing of it.
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <memory>
#include <string>

#include "base/options.h"
#include "device/device.h"
#include "engine.h"

namespace cellsam::bench {

// Where a row finds its fixture and how it computes.
struct Setting {
  std::string folder;
  at::Device device = at::kCPU;
  device::Precision precision = device::Precision::fp32;
};

class Row {
 public:
  virtual ~Row() = default;

  // One repetition that also returns figures that the peer returns for the same fixture, such as {value, gradient}: the loss
  // and the norm of its gradient. Called first, on the weights of the fixture.
  virtual Dict check() = 0;

  // One repetition. What it computes is waited for by the caller.
  virtual void run() = 0;
};

// How a row is made. `parameters` are those of the row's file in bench/rows; both functions read them all.
struct Maker {
  // Writes weights and inputs, drawn from a fixed seed, as safetensors into the folder.
  void (*fixture)(const Setting& setting, Options& parameters);
  std::unique_ptr<Row> (*open)(const Setting& setting, Options& parameters);
};

// One per file of rows.
std::map<std::string, Maker> encoder_rows();
std::map<std::string, Maker> loss_rows();
std::map<std::string, Maker> stage_rows();
std::map<std::string, Maker> inference_rows();
std::map<std::string, Maker> tile_rows();

}  // namespace cellsam::bench
