// Schedules, clipping and the optimisers' state, against numbers computed by hand. Parity case 10 tests the arithmetic of
// AdamW.
#include "optim/schedule.h"

#include "native/checks.h"
#include "native/program.h"
#include "optim/clip_grad_norm.h"
#include "optim/optimizer.h"

namespace cellsam::test::schedule_program {

using optim::ScheduleType;

namespace {

optim::ScheduleOptions rule(ScheduleType type, std::int64_t total, double warmup = 0) {
  optim::ScheduleOptions options;
  options.type = type;
  options.total_steps = total;
  options.warmup_fraction = warmup;
  return options;
}

void check_schedule(test::Checks& checks) {
  const optim::Schedule none(rule(ScheduleType::none, 10)), step(rule(ScheduleType::step, 10)),
      cosine(rule(ScheduleType::cosine, 10));
  checks.near("none", none.factor(9), 1, 0);
  checks.near("step before", step.factor(6), 1, 0);
  checks.near("D23: step from 7 of 10", step.factor(7), 0.9, 0);
  checks.near("step after the end", step.factor(25), 0.9, 0);
  checks.near("cosine start", cosine.factor(0), 1, 0);
  checks.near("cosine middle", cosine.factor(5), 0.5, 1e-12);
  checks.near("cosine at 2 of 10", cosine.factor(2), 0.9045084971874737, 1e-12);
  checks.near("cosine end", cosine.factor(10), 0, 1e-12);
  const optim::Schedule warm(rule(ScheduleType::cosine, 20, 0.2));
  checks.near("warm-up starts at 0", warm.factor(0), 0, 0);
  checks.near("warm-up at 3 of 4, cosine at 3 of 20", warm.factor(3), 0.75 * 0.9455032620941839, 1e-12);
  checks.near("warm-up is over", warm.factor(4), 0.9045084971874737, 1e-12);
  checks.near("warm-up of the constant rate", optim::Schedule(rule(ScheduleType::none, 20, 0.2)).factor(1), 0.25, 0);
  checks.throws("warm-up above 1", "ERR_INVALID_ARGUMENT", [] { optim::Schedule(rule(ScheduleType::none, 20, 1.5)); });
  checks.throws("unknown type", "ERR_INVALID_ARGUMENT", [] { optim::parse_schedule_type("linear"); });
}

void check_plateau(test::Checks& checks) {
  auto options = rule(ScheduleType::plateau, 100);
  options.plateau_patience = 2;
  optim::Schedule schedule(options);
  for (double loss : {1.0, 0.99995, 1.0}) schedule.observe(loss);  // 0.99995 is not below 1 - 1e-4
  checks.near("plateau is patient", schedule.factor(0), 1, 0);
  optim::Schedule resumed(options);
  resumed.load_state(schedule.state());
  for (auto* one : {&schedule, &resumed}) {
    one->observe(NAN);
    checks.near("plateau halves at the third", one->factor(0), 0.5, 0);
    one->observe(0.5);
    for (double loss : {0.6, 0.6}) one->observe(loss);
    checks.near("plateau starts counting again", one->factor(0), 0.5, 0);
    one->observe(0.6);
    checks.near("plateau halves again", one->factor(0), 0.25, 0);
  }
  optim::Schedule fresh(options);
  checks.holds("no best loss yet is null", fresh.state().at("best").is_null());
  fresh.load_state(fresh.state());
  checks.throws("state without an entry", "ERR_STATE_MISMATCH", [&] { fresh.load_state({{"factor", 1.0}}); });
}

optim::ParameterGroup group_of(std::vector<std::vector<double>> gradients, double lr_ratio = 1, double weight_decay = 0) {
  optim::ParameterGroup group{"group", {}, lr_ratio, weight_decay};
  for (const auto& gradient : gradients) {
    auto parameter = at::ones({static_cast<std::int64_t>(gradient.size())}, at::kDouble).requires_grad_(true);
    parameter.mutable_grad() = at::tensor(gradient, at::kDouble);
    group.parameters.push_back(parameter);
  }
  return group;
}

// A weight that Muon takes as a matrix.
optim::ParameterGroup matrix_group() {
  auto weight = at::eye(16, at::kDouble).requires_grad_(true);
  weight.mutable_grad() = at::arange(256, at::kDouble).sin().view({16, 16});
  return {"matrix", {weight}, 1, 0.1, {1}};
}

void check_clip(test::Checks& checks) {
  std::vector<optim::ParameterGroup> groups = {group_of({{3}, {0, 4}}), group_of({{12}})};
  checks.near("norm", optim::clip_grad_norm(groups, 0).item<double>(), 13, 1e-12);
  checks.near("norm only", groups[1].parameters[0].grad().item<double>(), 12, 0);
  checks.near("norm before", optim::clip_grad_norm(groups, 6.5).item<double>(), 13, 1e-12);
  checks.near("clipped over all groups", groups[0].parameters[1].grad(), at::tensor({0.0, 2.0}), 1e-6);
  checks.near("not enlarged", (optim::clip_grad_norm(groups, 100), groups[1].parameters[0].grad().item<double>()), 6, 1e-5);
  checks.near("no gradients", optim::clip_grad_norm({optim::ParameterGroup{}}, 1).item<double>(), 0, 0);
}

void check_methods(test::Checks& checks) {
  // First step of Adam: mean / (sqrt(variance) + eps) is sign(gradient); L2 decay changes the gradient, AdamW the weight.
  std::vector<optim::ParameterGroup> adam = {group_of({{2}}, 0.5, 0.1)}, adamw = {group_of({{2}}, 0.5, 0.1)},
                                     sgd = {group_of({{2}}, 0.5, 0.1)};
  optim::Optimizer(adam, {optim::parse_method("adam")}).step(0.2);
  checks.near("adam", adam[0].parameters[0].item<double>(), 0.9, 1e-8);
  optim::Optimizer(adamw, {optim::parse_method("adamw")}).step(0.2);
  checks.near("adamw", adamw[0].parameters[0].item<double>(), 1 * (1 - 0.1 * 0.1) - 0.1, 1e-8);
  optim::Optimizer momentum(sgd, {optim::parse_method("sgd")});
  momentum.step(0.2);
  checks.near("sgd, first step", sgd[0].parameters[0].item<double>(), 1 - 0.1 * 2.1, 1e-12);
  momentum.step(0.2);
  checks.near("sgd, second step", sgd[0].parameters[0].item<double>(), 0.79 - 0.1 * (0.9 * 2.1 + 2 + 0.079), 1e-12);
  checks.throws("unknown optimizer", "ERR_INVALID_ARGUMENT", [] { optim::parse_method("lion"); });
}

void check_state(test::Checks& checks) {
  for (auto name : {"adamw", "muon", "adam", "sgd"}) {
    std::vector<optim::ParameterGroup> straight = {group_of({{2, -1}, {0.5}}), group_of({{1}}, 0.1), matrix_group()};
    std::vector<optim::ParameterGroup> halted = {group_of({{2, -1}, {0.5}}), group_of({{1}}, 0.1), matrix_group()};
    optim::Optimizer whole(straight, {optim::parse_method(name)}), first(halted, {optim::parse_method(name)});
    whole.step(0.1);
    first.step(0.1);
    optim::Optimizer second(halted, {optim::parse_method(name)});
    second.load_state(first.state());
    whole.step(0.1);
    second.step(0.1);
    bool same = true;
    for (std::size_t g = 0; g < straight.size(); ++g) {
      for (std::size_t p = 0; p < straight[g].parameters.size(); ++p)
        same &= straight[g].parameters[p].equal(halted[g].parameters[p]);
    }
    checks.holds(std::string("resumed bit for bit: ") + name, same);
    auto state = first.state();
    state.pop_back();
    checks.throws("incomplete state", "ERR_STATE_MISMATCH", [&] { second.load_state(state); });
  }
  auto group = group_of({{1}});
  checks.throws("a parameter twice", "ERR_INVALID_ARGUMENT", [&] { optim::Optimizer({group, group}); });
  group.parameters[0].mutable_grad().reset();
  optim::Optimizer idle({group});
  idle.step(0.1);
  checks.near("no gradient, no step", group.parameters[0].item<double>() + idle.state()[2].second.item<double>(), 1, 0);
  auto other = group_of({{1}});
  optim::Optimizer({other}).zero_grad();
  checks.holds("zero_grad drops", !other.parameters[0].grad().defined());
}

}  // namespace

TEST_PROGRAM(schedule) {
  Checks checks("schedule");
  check_schedule(checks);
  check_plateau(checks);
  check_clip(checks);
  check_methods(checks);
  check_state(checks);
  return checks.finish();
}

}  // namespace cellsam::test::schedule_program
