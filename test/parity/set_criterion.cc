// Case 08: the detection loss with its auxiliary layers and its gradients, in float32 and float64.
#include "loss/detection.h"
#include "native/program.h"
#include "parity/case.h"

namespace cellsam::test::set_criterion_program {

namespace {

struct Scene {
  std::string name;
  std::vector<at::Tensor> logits, boxes;  // per layer, leaves
  std::vector<loss::Targets> targets;
  loss::DetectionLossOptions options;
};

Scene read_scene(const test::Case& parity, const Value& entry, at::ScalarType dtype) {
  Scene scene;
  scene.name = test::text(entry, "name");
  for (std::int64_t layer = 0; layer < test::integer(entry, "layers"); ++layer) {
    const auto prefix = scene.name + ".layer" + std::to_string(layer);
    scene.logits.push_back(parity.io(prefix + ".pred_logits").to(dtype).detach().clone().requires_grad_(true));
    scene.boxes.push_back(parity.io(prefix + ".pred_boxes").to(dtype).detach().clone().requires_grad_(true));
  }
  for (std::int64_t image = 0; image < test::integer(entry, "bs"); ++image) {
    const auto prefix = scene.name + ".t" + std::to_string(image);
    scene.targets.push_back({parity.io(prefix + ".boxes"), parity.io(prefix + ".labels")});
  }
  const auto& weights = test::field(parity.info(), "weight_dict");
  scene.options.ce_weight = test::number(weights, "loss_ce");
  scene.options.bbox_weight = test::number(weights, "loss_bbox");
  scene.options.giou_weight = test::number(weights, "loss_giou");
  scene.options.focal_alpha = test::number(test::field(parity.info(), "focal"), "alpha");
  const auto& cost = test::list(entry, "matcher_cost_class_bbox_giou");
  scene.options.match_cost = {test::as<double>(cost[0]), test::as<double>(cost[1]), test::as<double>(cost[2])};
  return scene;
}

void check_gradients(test::Case& parity, const std::string& prefix, const std::vector<at::Tensor>& leaves,
                     const std::string& leaf_name, const test::Tolerance& tolerance) {
  for (std::size_t layer = 0; layer < leaves.size(); ++layer) {
    const auto name = prefix + ".layer" + std::to_string(layer) + "." + leaf_name;
    const auto gradient = leaves[layer].grad().defined() ? leaves[layer].grad() : at::zeros_like(leaves[layer]);
    parity.check(name, gradient, tolerance);
  }
}

void check_scene(test::Case& parity, const Value& entry, at::ScalarType dtype, bool aux) {
  const bool wide = dtype == at::kDouble;
  auto scene = read_scene(parity, entry, dtype);
  scene.options.aux_loss = aux;
  const auto prefix = scene.name + (wide ? ".f64." : ".");
  const auto found = loss::detection_loss(scene.logits, scene.boxes, scene.targets, scene.options);
  const auto tolerance = parity.tolerance(wide ? "f64.*" : "losses");
  parity.check(prefix + (aux ? "total_with_aux" : "total_final_layer_only"), found.total, tolerance);
  // The reference's components are not weighted yet.
  parity.check(prefix + "loss_ce", found.ce, parity.io(prefix + "loss_ce") * scene.options.ce_weight, tolerance);
  parity.check(prefix + "loss_bbox", found.bbox, parity.io(prefix + "loss_bbox") * scene.options.bbox_weight, tolerance);
  parity.check(prefix + "loss_giou", found.giou, parity.io(prefix + "loss_giou") * scene.options.giou_weight, tolerance);
  parity.check(prefix + "class_error", found.class_error, parity.io(prefix + "class_error").item<double>(), 1e-6, 1e-6);
  found.total.backward();
  const auto gradients = prefix + (aux ? "grad_with_aux" : "grad_final_only");
  const auto limit = parity.tolerance(wide ? "f64.*" : "grad");
  check_gradients(parity, gradients, scene.logits, "pred_logits", limit);
  check_gradients(parity, gradients, scene.boxes, "pred_boxes", limit);
}

void check_indices(test::Case& parity, const Value& entry) {
  const auto scene = read_scene(parity, entry, at::kFloat);
  for (std::size_t layer = 0; layer < scene.logits.size(); ++layer) {
    for (std::size_t image = 0; image < scene.targets.size(); ++image) {
      const auto found =
          loss::match(scene.logits[layer][static_cast<std::int64_t>(image)],
                      scene.boxes[layer][static_cast<std::int64_t>(image)], scene.targets[image], scene.options.match_cost);
      const auto prefix = scene.name + ".layer" + std::to_string(layer) + ".t" + std::to_string(image);
      parity.check(prefix + ".src_idx", found.source, {});
      parity.check(prefix + ".tgt_idx", found.target, {});
    }
  }
}

}  // namespace

TEST_PROGRAM(set_criterion) {
  return test::run_case(argc, argv, [](test::Case& parity) {
    for (const auto& entry : test::list(parity.info(), "scenarios")) {
      check_indices(parity, entry);
      for (auto dtype : {at::kFloat, at::kDouble}) {
        for (bool aux : {false, true}) check_scene(parity, entry, dtype, aux);
      }
    }
  });
}

}  // namespace cellsam::test::set_criterion_program
