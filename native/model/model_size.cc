#include "model/model_size.h"

#include <cmath>

#include "base/options.h"

namespace cellsam::model {
namespace {

// Calls visit(name, reference) for every field but `name`.
template <class Size, class Visit>
void each_field(Size& size, Visit&& visit) {
  visit("image_size", size.image_size);
  visit("patch", size.patch);
  visit("embed_dim", size.embed_dim);
  visit("depth", size.depth);
  visit("heads", size.heads);
  visit("mlp_ratio", size.mlp_ratio);
  visit("window", size.window);
  visit("global_blocks", size.global_blocks);
  visit("prompt_dim", size.prompt_dim);
  visit("mask_in_chans", size.mask_in_chans);
  visit("decoder_depth", size.decoder_depth);
  visit("decoder_heads", size.decoder_heads);
  visit("decoder_mlp", size.decoder_mlp);
  visit("num_multimask", size.num_multimask);
  visit("iou_depth", size.iou_depth);
  visit("iou_hidden", size.iou_hidden);
  visit("detector_dim", size.detector_dim);
  visit("detector_heads", size.detector_heads);
  visit("detector_ffn", size.detector_ffn);
  visit("encoder_layers", size.encoder_layers);
  visit("decoder_layers", size.decoder_layers);
  visit("num_queries", size.num_queries);
  visit("num_patterns", size.num_patterns);
  visit("num_classes", size.num_classes);
  visit("position_temperature", size.position_temperature);
  visit("position_scale", size.position_scale);
  visit("local_attention_init", size.local_attention_init);
  visit("local_attention_gain", size.local_attention_gain);
  visit("grid_anchors", size.grid_anchors);
}

constexpr std::int64_t kMaxCount = 1 << 20;  // above any sensible size; a product of two does not overflow

struct Reader {
  Options& options;

  void operator()(const char* name, std::int64_t& field) const { field = options.integer(name, field); }
  void operator()(const char* name, double& field) const { field = options.number(name, field); }
  void operator()(const char* name, bool& field) const { field = options.flag(name, field); }
  void operator()(const char* name, std::vector<std::int64_t>& field) const {
    const auto* items = options.list(name);
    if (items == nullptr) return;
    field.clear();
    for (const auto& item : *items) {
      const auto* number = item.as<double>();
      if (number == nullptr || *number != std::floor(*number) || std::abs(*number) > kMaxCount) {
        throw Error("ERR_INVALID_ARGUMENT", std::string("model size: option ") + name + " must be a list of block indices");
      }
      field.push_back(static_cast<std::int64_t>(*number));
    }
  }
};

struct Describer {
  Dict& dict;

  template <class Field>
  void operator()(const char* name, const Field& field) const {
    dict[name] = Value(field);
  }
  void operator()(const char* name, const std::vector<std::int64_t>& field) const {
    dict[name] = List(field.begin(), field.end());
  }
};

struct RangeCheck {
  void operator()(const char* name, std::int64_t field) const {
    const std::int64_t least = std::string(name) == "window" ? 0 : 1;
    if (field < least || field > kMaxCount)
      fail(name, "at least " + std::to_string(least) + " and at most " + std::to_string(kMaxCount));
  }
  void operator()(const char* name, double field) const {
    if (!(field > 0) || !std::isfinite(field)) fail(name, "a positive number");
  }
  void operator()(const char*, bool) const {}
  void operator()(const char*, const std::vector<std::int64_t>&) const {}

  [[noreturn]] static void fail(const std::string& name, const std::string& expected) {
    throw Error("ERR_INVALID_ARGUMENT", "model size: " + name + " must be " + expected);
  }
};

void require_multiple(const char* name, std::int64_t value, std::int64_t divisor, const std::string& reason) {
  if (value % divisor == 0) return;
  throw Error("ERR_INVALID_ARGUMENT", std::string("model size: ") + name + " is " + std::to_string(value) +
                                          " but must be a multiple of " + std::to_string(divisor) + " (" + reason + ")");
}

ModelSize tiny() {
  ModelSize size;
  size.name = "tiny";
  size.image_size = 128;
  size.patch = 8;
  size.embed_dim = 96;
  size.depth = 3;
  size.heads = 4;
  size.window = 0;
  size.global_blocks = {};
  size.prompt_dim = 96;
  size.decoder_heads = 4;
  size.decoder_mlp = 384;
  size.iou_hidden = 96;
  size.detector_dim = 96;
  size.detector_heads = 4;
  size.detector_ffn = 384;
  size.encoder_layers = 1;
  size.decoder_layers = 3;
  size.num_queries = 100;
  size.position_temperature = 100;
  size.position_scale = 8;
  size.local_attention_init = true;
  size.grid_anchors = true;
  return size;
}

std::vector<ModelSize> build_table() {
  ModelSize vit_b;
  vit_b.name = "vit_b";
  ModelSize vit_l = vit_b;
  vit_l.name = "vit_l";
  vit_l.embed_dim = 1024;
  vit_l.depth = 24;
  vit_l.heads = 16;
  vit_l.global_blocks = {5, 11, 17, 23};
  ModelSize vit_h = vit_b;
  vit_h.name = "vit_h";
  vit_h.embed_dim = 1280;
  vit_h.depth = 32;
  vit_h.heads = 16;
  vit_h.global_blocks = {7, 15, 23, 31};
  return {vit_b, vit_l, vit_h, tiny()};
}

}  // namespace

const std::vector<ModelSize>& model_sizes() {
  static const auto* table = new std::vector<ModelSize>(build_table());
  return *table;
}

ModelSize model_size(const std::string& name, const Value& overrides) {
  std::string known;
  for (ModelSize size : model_sizes()) {
    if (size.name == name) {
      Options options(overrides, "model size");
      size.name = options.text("name", name);
      each_field(size, Reader{options});
      options.done();
      validate(size);
      return size;
    }
    known += (known.empty() ? "" : ", ") + size.name;
  }
  throw Error("ERR_INVALID_ARGUMENT", "unknown model size " + name + ": the sizes are " + known, {{"name", name}});
}

void validate(const ModelSize& size) {
  each_field(size, RangeCheck{});
  require_multiple("image_size", size.image_size, size.patch, "patch");
  require_multiple("embed_dim", size.embed_dim, size.heads, "heads");
  require_multiple("prompt_dim", size.prompt_dim, 8, "mask upscaling divides it by 8");
  require_multiple("prompt_dim", size.prompt_dim, 2 * size.decoder_heads, "decoder_heads, at half width");
  require_multiple("mask_in_chans", size.mask_in_chans, 4, "mask downscaling");
  require_multiple("detector_dim", size.detector_dim, 32, "32 normalisation groups");
  require_multiple("detector_dim", size.detector_dim, size.detector_heads, "detector_heads");
  for (auto block : size.global_blocks) {
    if (block < 0 || block >= size.depth) {
      throw Error("ERR_INVALID_ARGUMENT", "model size: global_blocks names block " + std::to_string(block) +
                                              ", but there are " + std::to_string(size.depth) + " (depth): give both");
    }
  }
  const auto side = static_cast<std::int64_t>(std::llround(std::sqrt(static_cast<double>(size.num_queries))));
  if (size.grid_anchors && side * side != size.num_queries) {
    RangeCheck::fail("num_queries", "a square number with grid_anchors, not " + std::to_string(size.num_queries));
  }
}

Dict describe(const ModelSize& size) {
  Dict dict{{"name", size.name}};
  each_field(size, Describer{dict});
  return dict;
}

}  // namespace cellsam::model
