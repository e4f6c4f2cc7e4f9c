#include "loss/mask_loss_options.h"

#include <stdexcept>
#include <string>

#include "settings/stage2.h"

namespace cellsam::loss {

namespace {

template <class Values>
auto& value_of(Values& values, const setting::Number& setting) {
  for (auto& [name, value] : values) {
    if (name == setting.name) return value;
  }
  throw std::logic_error("this loss has no setting " + std::string(setting.name));
}

void read_settings(LossSettings& settings, const MaskLossKind& loss, Options& options) {
  for (const auto& setting : loss.settings) settings[setting] = options.read(setting, settings[setting]);
}

}  // namespace

LossSettings::LossSettings(const std::vector<setting::Number>& settings) {
  for (const auto& setting : settings) values_.emplace_back(setting.name, setting.default_value);
}

double LossSettings::operator[](const setting::Number& setting) const { return value_of(values_, setting); }

double& LossSettings::operator[](const setting::Number& setting) { return value_of(values_, setting); }

MaskLossOptions::MaskLossOptions() {
  for (const auto& loss : mask_losses()) {
    weights_.push_back(loss.weight.default_value);
    settings_.emplace_back(loss.settings);
  }
}

void MaskLossOptions::read(Options& options) {
  read_weights(options);
  for (std::size_t i = 0; i < settings_.size(); ++i) read_settings(settings_[i], mask_losses()[i], options);
  use_boundary_ = options.read(setting::stage2::use_boundary_loss).value_or(use_boundary_);
}

void MaskLossOptions::read_weights(Options& options) {
  for (std::size_t i = 0; i < weights_.size(); ++i) weights_[i] = options.read(mask_losses()[i].weight, weights_[i]);
}

double MaskLossOptions::weight(std::size_t loss) const {
  return use_boundary_ || mask_losses()[loss].name != "boundary" ? weights_[loss] : 0;
}

LossSettings read_loss_settings(const MaskLossKind& loss, Options& options) {
  LossSettings settings(loss.settings);
  read_settings(settings, loss, options);
  return settings;
}

}  // namespace cellsam::loss
