// load_into: plans all copies, checks them, and only then changes the model.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "weights/dtype.h"
#include "weights/fault.h"
#include "weights/layout.h"
#include "weights/layout_names.h"

namespace cellsam::weights {
namespace {

std::string described(const at::Tensor& tensor) {
  const auto* type = find_type(&NumberType::type, tensor.scalar_type());
  std::string text = std::string(type == nullptr ? "unknown" : type->name) + " [";
  for (std::int64_t i = 0; i < tensor.dim(); ++i) text += (i > 0 ? "," : "") + std::to_string(tensor.size(i));
  return text + "]";
}

// Whether some number has all bits of its exponent set, that is, is NaN or infinity. Needs no temporary tensor.
template <class Bits>
bool any_exponent_full(const at::Tensor& tensor, Bits exponent) {
  const auto* bits = static_cast<const Bits*>(tensor.const_data_ptr());
  Bits found = 0;
  for (std::int64_t i = 0; i < tensor.numel(); ++i) found |= static_cast<Bits>((bits[i] & exponent) == exponent);
  return found != 0;
}

bool finite(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kDouble: return !any_exponent_full<std::uint64_t>(tensor, 0x7ff0000000000000);
    case at::kFloat: return !any_exponent_full<std::uint32_t>(tensor, 0x7f800000);
    case at::kHalf: return !any_exponent_full<std::uint16_t>(tensor, 0x7c00);
    case at::kBFloat16: return !any_exponent_full<std::uint16_t>(tensor, 0x7f80);
    default: return true;
  }
}

bool equal_bytes(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() &&
         (a.const_data_ptr() == b.const_data_ptr() || std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0);
}

bool starts_with_any(const std::string& name, const std::vector<std::string>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(), [&](const auto& prefix) { return name.starts_with(prefix); });
}

// A tensor of the checkpoint.
struct Found {
  std::string source;  // its name there
  at::Tensor tensor;
};

class Plan {
 public:
  Plan(const TensorMap& source, const LoadOptions& options) : options_(options), layout_(detect_layout(source)) {
    report_.layout = layout_.name;
    report_.preprocessing = layout_.preprocessing;
    for (const auto& [name, tensor] : source) {
      for (const auto& target : official_names(name, is_plain_sam())) add(target, {name, tensor.detach().cpu().contiguous()});
    }
  }

  void match(const std::string& name, const at::Tensor& target) {
    const auto* found = find(name);
    if (found == nullptr) {
      report_.missing.push_back(name);
      return;
    }
    used_.insert(found->source);
    const bool kinds_fit =
        target.is_floating_point() ? found->tensor.is_floating_point() : found->tensor.dtype() == target.dtype();
    if (found->tensor.sizes() != target.sizes() || !kinds_fit) {
      report_.mismatched.push_back({name, described(target), described(found->tensor)});
      return;
    }
    const auto value = found->tensor.to(target.scalar_type());
    if (!finite(value) && not_finite_.empty()) not_finite_ = found->source;
    copies_.emplace_back(target, value);
  }

  // Throws unless everything that matters fits.
  void check(const TensorMap& source) {
    for (const auto& [name, tensor] : source) {
      if (!used_.contains(name)) report_.unexpected.push_back(name);
    }
    std::string faults;
    list_faults(faults, "missing", report_.missing, [&](const auto& name) { return missing_matters(name); });
    list_faults(faults, "left over", report_.unexpected, [&](const auto& name) { return unexpected_matters(name); });
    std::vector<std::string> shapes;
    for (const auto& entry : report_.mismatched)
      shapes.push_back(entry.name + " (expected " + entry.expected + ", found " + entry.found + ")");
    list_faults(faults, "of another shape or type", shapes, [](const auto&) { return true; });
    if (!faults.empty()) {
      throw Error("ERR_CHECKPOINT_MISMATCH",
                  "the checkpoint (layout " + layout_.name + ") does not fit the model: " + faults +
                      "; choose the model size and generation that it was saved from",
                  to_dict(report_));
    }
    if (!not_finite_.empty()) {
      throw Error("ERR_CHECKPOINT_NOT_FINITE",
                  "tensor " + printable(not_finite_) +
                      " of the checkpoint holds NaN or infinity; "
                      "take an earlier checkpoint",
                  {{"name", not_finite_}});
    }
    warn_of(report_.missing, "was not in the checkpoint and keeps its initial values");
    warn_of(report_.unexpected, "of the checkpoint was left out");
  }

  LoadReport apply() {
    const at::NoGradGuard no_grad;
    for (auto& [target, value] : copies_) target.copy_(value);
    report_.loaded = static_cast<std::int64_t>(copies_.size());
    return std::move(report_);
  }

 private:
  void add(const std::string& name, Found found) {
    if (const auto tied = tied_name(name)) {
      auto& copies = tied_[tied->group];
      for (const auto& [layer, other] : copies) {
        if (!equal_bytes(other.tensor, found.tensor)) differing_.insert(tied->group);
      }
      tied_sources_[tied->group].push_back(found.source);
      copies.insert_or_assign(tied->layer, std::move(found));
    } else if (!found_.try_emplace(name, std::move(found)).second) {
      wrong_format("the checkpoint holds " + printable(name) + " twice, with and without the prefix module.");
    }
  }

  // The value for a target. Of a tied head the copy of the highest layer is used for all of its names, as Python's
  // load_state_dict copies one after the other into one tensor.
  const Found* find(const std::string& name) {
    if (const auto tied = tied_name(name)) {
      const auto group = tied_.find(tied->group);
      if (group == tied_.end()) return nullptr;
      for (const auto& source : tied_sources_[tied->group]) used_.insert(source);
      if (differing_.erase(tied->group) > 0) {
        report_.warnings.push_back("the copies of " + tied->group + " differ; the last, " +
                                   group->second.rbegin()->second.source + ", was taken");
      }
      return &group->second.rbegin()->second;
    }
    const auto found = found_.find(name);
    return found == found_.end() ? nullptr : &found->second;
  }

  bool is_plain_sam() const { return layout_.name == "sam"; }

  bool missing_matters(const std::string& name) const {
    if (starts_with_any(name, options_.allow_missing_prefixes)) return false;
    return !is_plain_sam() || !name.starts_with("cellfinder.") || name.starts_with(kCellFinderBackbone);
  }

  bool unexpected_matters(const std::string& source) const {
    const auto name = official_names(source, is_plain_sam()).front();
    if (starts_with_any(name, options_.allow_unexpected_prefixes)) return false;
    return name.starts_with("model.") || name.starts_with("model_cp.") || name.starts_with("cellfinder.");
  }

  template <class Matters>
  static void list_faults(std::string& text, const std::string& what, const std::vector<std::string>& names, Matters matters) {
    constexpr std::size_t kShown = 3;
    std::size_t count = 0;
    std::string first;
    for (const auto& name : names) {
      if (!matters(name)) continue;
      if (count++ < kShown) first += (first.empty() ? "" : ", ") + name;
    }
    if (count == 0) return;
    text += (text.empty() ? "" : "; ") + std::to_string(count) + " " + what + ": " + first + (count > kShown ? ", ..." : "");
  }

  void warn_of(const std::vector<std::string>& names, const std::string& what) {
    if (names.empty()) return;
    const auto more = names.size() > 1 ? " (and " + std::to_string(names.size() - 1) + " more)" : "";
    report_.warnings.push_back(names.front() + more + " " + what);
  }

  const LoadOptions& options_;
  Layout layout_;
  LoadReport report_;
  std::map<std::string, Found> found_;
  std::map<std::string, std::map<int, Found>> tied_;  // group -> layer -> copy
  std::map<std::string, std::vector<std::string>> tied_sources_;
  std::set<std::string> differing_;
  std::set<std::string> used_;  // names of the checkpoint
  std::string not_finite_;
  std::vector<std::pair<at::Tensor, at::Tensor>> copies_;
};

}  // namespace

LoadReport load_into(const TensorMap& source, const std::vector<std::pair<std::string, at::Tensor>>& targets,
                     const LoadOptions& options) {
  Plan plan(source, options);
  for (const auto& [name, target] : targets) plan.match(name, target);
  plan.check(source);
  return plan.apply();
}

}  // namespace cellsam::weights
