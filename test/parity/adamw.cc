// Case 10: 25 steps of AdamW with groups, clipping and the step schedule, on a small network and a quadratic, f32 and f64.
#include "native/program.h"
#include "optim/clip_grad_norm.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"
#include "parity/case.h"

namespace cellsam::test::adamw_program {

namespace {

using Parameters = std::map<std::string, at::Tensor>;

at::Tensor loss_of(const test::Case& parity, const std::string& run, Parameters& p) {
  if (run.rfind("quad", 0) == 0) {
    const auto x = at::cat({p["a"], p["b"]});
    return 0.5 * x.dot(parity.io(run + ".A").matmul(x)) - parity.io(run + ".rhs").dot(x);
  }
  auto hidden = at::linear(parity.io(run + ".X"), p["0.weight"], p["0.bias"]).tanh();
  hidden = at::layer_norm(hidden, {hidden.size(1)}, p["2.weight"], p["2.bias"], 1e-5);
  return (at::linear(hidden, p["3.weight"], p["3.bias"]) - parity.io(run + ".Y")).square().mean();
}

void check_run(test::Case& parity, const std::string& run, const Value& settings) {
  const auto tolerance = parity.tolerance(run.substr(run.size() - 3));
  Parameters parameters;
  std::vector<optim::ParameterGroup> groups;
  std::vector<std::string> order;
  const double base = test::number(test::list(settings, "groups")[0], "lr");
  for (const auto& entry : test::list(settings, "groups")) {
    optim::ParameterGroup group{
        test::text(entry, "name"), {}, test::number(entry, "lr") / base, test::number(entry, "weight_decay")};
    for (const auto& item : test::list(entry, "params")) {
      const auto name = test::as<std::string>(item);
      parameters[name] = parity.io(run + ".init." + name).clone().requires_grad_(true);
      group.parameters.push_back(parameters[name]);
      order.push_back(name);
    }
    groups.push_back(std::move(group));
  }
  const auto steps = test::integer(settings, "steps");
  optim::ScheduleOptions rule;
  rule.type = optim::ScheduleType::step;
  rule.total_steps = steps;
  const optim::Schedule schedule(rule);
  optim::Optimizer optimizer(groups);

  std::vector<at::Tensor> losses, norms, rates;
  std::map<std::string, std::vector<at::Tensor>> trajectory;
  for (std::int64_t step = 0; step < steps; ++step) {
    optimizer.zero_grad();
    const auto loss = loss_of(parity, run, parameters);
    loss.backward();
    norms.push_back(optim::clip_grad_norm(groups, test::number(settings, "clip_norm")).to(at::kDouble));
    const double lr = base * schedule.factor(step);
    optimizer.step(lr);
    losses.push_back(loss.detach().to(at::kDouble));
    std::vector<double> row;
    for (const auto& group : groups) row.push_back(lr * group.lr_ratio);
    rates.push_back(at::tensor(row, at::kDouble));
    for (const auto& name : order) trajectory[name].push_back(parameters[name].detach().clone());
  }
  parity.check(run + ".loss", at::stack(losses), tolerance);
  parity.check(run + ".grad_norm_before_clip", at::stack(norms), tolerance);
  parity.check(run + ".lr", at::stack(rates), {1e-12, 0, 0});
  for (const auto& name : order) parity.check(run + ".traj." + name, at::stack(trajectory[name]), tolerance);
  for (const auto& [name, tensor] : optimizer.state()) {
    const auto dot = name.find('.');
    if (name.substr(dot) == ".step") continue;
    parity.check(run + ".final_" + name.substr(dot + 1) + "." + order[std::stoul(name.substr(0, dot))], tensor, tolerance);
  }
}

}  // namespace

TEST_PROGRAM(adamw) {
  return test::run_case(argc, argv, [](test::Case& parity) {
    for (const auto& [run, settings] : test::as<Dict>(test::field(parity.info(), "runs"))) check_run(parity, run, settings);
  });
}

}  // namespace cellsam::test::adamw_program
