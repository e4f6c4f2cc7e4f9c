// What the test programs of the weights family share: checks that count, a scratch folder, tensors compared bit by bit, and
// a few small checkpoints with the names of the real ones.
#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "engine.h"
#include "weights/tensor_map.h"

namespace cellsam::weights::test {

inline int failures = 0;

inline void check(bool ok, const std::string& what) {
  if (ok) return;
  ++failures;
  std::fprintf(stderr, "FAILED: %s\n", what.c_str());
}

// The code of the Error that `run` throws, "" when it throws none, "uncoded: ..." for any other exception.
template <class Run>
std::string code_of(Run run, std::string* message = nullptr) {
  try {
    run();
    return "";
  } catch (const Error& error) {
    if (message != nullptr) *message = error.what();
    return error.code;
  } catch (const std::exception& error) {
    return std::string("uncoded: ") + error.what();
  }
}

// A folder of our own, removed at the end.
class Scratch {
 public:
  Scratch() {
    auto pattern = (std::filesystem::temp_directory_path() / "cellsam-weights-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void spit(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

inline bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  if (a.scalar_type() != b.scalar_type() || a.sizes() != b.sizes()) return false;
  const auto x = a.contiguous(), y = b.contiguous();
  return x.nbytes() == 0 || std::memcmp(x.const_data_ptr(), y.const_data_ptr(), x.nbytes()) == 0;
}

inline bool same_bits(const TensorMap& a, const TensorMap& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].first != b[i].first || !same_bits(a[i].second, b[i].second)) return false;
  }
  return true;
}

// Every dtype, odd shapes, numbers whose bits are easily lost (-0, NaN, denormals), and one tensor under three names.
inline TensorMap every_dtype() {
  at::manual_seed(7);
  TensorMap map;
  for (auto type : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16}) {
    auto tensor = at::randn({3, 5}).to(type);
    tensor[0][0] = -0.0;
    tensor[0][1] = std::nan("");
    tensor[0][2] = 1e-40;
    map.emplace_back(std::string("float.") + at::toString(type), tensor);
  }
  for (auto type : {at::kLong, at::kInt, at::kShort, at::kChar, at::kByte}) {
    map.emplace_back(std::string("whole.") + at::toString(type), at::randint(0, 120, {7}).to(type));
  }
  map.emplace_back("flags", at::rand({2, 3}) > 0.5);
  map.emplace_back("scalar", at::scalar_tensor(2.5));
  map.emplace_back("empty", at::empty({0, 4}));
  map.emplace_back("transposed", at::randn({4, 6}).t());
  const auto tied = at::randn({2, 2});
  for (auto name : {"tied.0", "tied.1", "tied.2"}) map.emplace_back(name, tied);
  return map;
}

// A CellSAM of toy size with the official names.
inline TensorMap toy_cellsam(bool with_copy) {
  at::manual_seed(11);
  TensorMap map;
  for (std::string sam : with_copy ? std::vector<std::string>{"model.", "model_cp."} : std::vector<std::string>{"model."}) {
    for (auto name : {"image_encoder.pos_embed", "image_encoder.blocks.0.attn.qkv.weight", "image_encoder.neck.0.weight",
                      "prompt_encoder.no_mask_embed.weight", "mask_decoder.iou_token.weight"}) {
      map.emplace_back(sam + name, at::randn({2, 3}));
    }
  }
  const std::string head = "cellfinder.decode_head.";
  for (auto name : {"transformer.pattern.weight", "input_proj.0.0.weight", "backbone.body.pos_embed",
                    "backbone.body.blocks.0.attn.qkv.weight"}) {
    map.emplace_back(head + name, at::randn({2, 3}));
  }
  const auto logits = at::randn({2, 3}), boxes = at::randn({4, 3});
  for (int i = 0; i < 6; ++i) {
    map.emplace_back(head + "transformer.class_embed." + std::to_string(i) + ".weight", logits);
    map.emplace_back(head + "transformer.bbox_embed." + std::to_string(i) + ".layers.0.weight", boxes);
  }
  return map;
}

inline TensorMap toy_sam() {
  TensorMap map;
  for (const auto& [name, tensor] : toy_cellsam(false)) {
    if (name.starts_with("model.")) map.emplace_back(name.substr(6), tensor);
  }
  return map;
}

inline int finished(const char* program) {
  std::printf("%s: %s\n", program, failures == 0 ? "all checks passed" : (std::to_string(failures) + " checks failed").c_str());
  return failures == 0 ? 0 : 1;
}

}  // namespace cellsam::weights::test
