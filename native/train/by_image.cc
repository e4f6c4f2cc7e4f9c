#include "train/by_image.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <numeric>

#include "train/gradients.h"
#include "train/non_finite.h"

namespace cellsam::train {
namespace {

data::Batch image_of(const data::Batch& batch, std::size_t i) {
  const auto row = static_cast<std::int64_t>(i);
  data::Batch image{batch.images.narrow(0, row, 1), batch.labels.narrow(0, row, 1), {batch.instances[i]}, {batch.indices[i]}};
  if (!batch.hashes.empty()) image.hashes = {batch.hashes[i]};
  image.cacheable = batch.cacheable;
  return image;
}

// A network with the session's weights and gradients of its own, for one image at a time.
struct Copy {
  model::CellSam model{nullptr};
  std::unique_ptr<Stage> stage;
};

// Adds the gradients of images to those of the batch in the order of the images, as soon as all before are there.
class OrderedSum {
 public:
  explicit OrderedSum(const model::NamedTensors& parameters) : parameters_(parameters) {}

  void add(std::size_t image, std::vector<at::Tensor> gradients) {
    std::lock_guard lock(mutex_);
    waiting_.emplace(image, std::move(gradients));
    for (auto next = waiting_.begin(); next != waiting_.end() && next->first == added_; next = waiting_.erase(next)) {
      add_gradients(parameters_, next->second);
      ++added_;
    }
  }

 private:
  const model::NamedTensors& parameters_;
  std::mutex mutex_;
  std::map<std::size_t, std::vector<at::Tensor>> waiting_;
  std::size_t added_ = 0;
};

class ByImage final : public Stage {
 public:
  ByImage(std::unique_ptr<Stage> whole, model::CellSam& model, const OpenStage& open, Workers* workers)
      : Stage(*whole), whole_(std::move(whole)), workers_(workers) {
    for (auto count = threads(); count > 0; --count) {
      auto& copy = *copies_.emplace_back(std::make_unique<Copy>());
      copy.model = model::alias_weights(model);
      copy.stage = open(copy.model);
      copy.stage->share_own(*whole_);
      copy.stage->take_notices();  // `whole_` has them too
      free_.push_back(&copy);
    }
  }

  int number() const override { return whole_->number(); }
  const std::vector<std::string>& loss_names() const override { return whole_->loss_names(); }
  std::int64_t threads() const override { return workers_ != nullptr ? workers_->most() : 1; }
  bool divides() const override { return whole_->divides(); }
  std::int64_t averaged_over(const data::Batch& batch, bool training) const override {
    return whole_->averaged_over(batch, training);
  }
  void prefetch(const data::Batch& batch) override { whole_->prefetch(batch); }

  void set_loss_weights(Options& options) override {
    const auto given = options;
    whole_->set_loss_weights(options);
    for (auto& copy : copies_) {
      auto same = given;
      copy->stage->set_loss_weights(same);
    }
  }

  std::optional<at::Tensor> train_batch(const data::Batch& batch, double scale, const DrawKey& key,
                                        const Control& control) override {
    // A trace watches this thread alone, and knows the session's own parameters.
    if (NonFiniteTrace::active()) return whole_->train_batch(batch, scale, key, control);
    OrderedSum sum(trainable());
    return for_each_image(batch, /*training=*/true, [&](std::size_t i, Stage& stage, const data::Batch& image, double share) {
      for (const auto& [name, parameter] : stage.trainable()) at::Tensor(parameter).mutable_grad().reset();
      auto losses = stage.train_batch(image, scale * share, key, control);
      std::vector<at::Tensor> gradients;
      for (const auto& [name, parameter] : stage.trainable())
        gradients.push_back(std::exchange(at::Tensor(parameter).mutable_grad(), {}));
      sum.add(i, std::move(gradients));
      return losses;
    });
  }

  std::optional<at::Tensor> evaluate_batch(const data::Batch& batch, const Control& control) override {
    if (NonFiniteTrace::active()) return whole_->evaluate_batch(batch, control);
    return for_each_image(batch, /*training=*/false, [&](std::size_t, Stage& stage, const data::Batch& image, double) {
      return stage.evaluate_batch(image, control);
    });
  }

  std::vector<std::string> take_notices() override {
    return gather(std::vector<std::string>(), [](auto& all, Stage& stage) {
      for (auto& notice : stage.take_notices()) all.push_back(std::move(notice));
    });
  }
  cache::FeatureCounts take_feature_counts() override {
    return gather(cache::FeatureCounts(), [](auto& all, Stage& stage) {
      const auto counts = stage.take_feature_counts();
      all.kept += counts.kept;
      all.computed += counts.computed;
    });
  }
  device::GraphCounts take_graph_counts() override {
    return gather(device::GraphCounts(), [](auto& all, Stage& stage) {
      const auto counts = stage.take_graph_counts();
      all.recorded += counts.recorded;
      all.replayed += counts.replayed;
    });
  }

 private:
  template <class All, class Add>
  All gather(All all, Add add) {
    add(all, *whole_);
    for (auto& copy : copies_) add(all, *copy->stage);
    return all;
  }

  // Calls body(number, stage, image, share) for each image, where the loss of the batch is the sum of share * loss over its
  // images, and returns that sum. Nothing when no image has losses.
  template <class Body>
  std::optional<at::Tensor> for_each_image(const data::Batch& batch, bool training, Body body) {
    std::vector<data::Batch> images;
    std::vector<double> counts;
    for (std::size_t i = 0; i < batch.instances.size(); ++i) {
      images.push_back(image_of(batch, i));
      counts.push_back(static_cast<double>(whole_->averaged_over(images.back(), training)));
    }
    const auto count = std::max(1.0, std::accumulate(counts.begin(), counts.end(), 0.0));
    const auto share = [&](std::size_t i) { return std::max(1.0, counts[i]) / count; };
    std::vector<std::optional<at::Tensor>> losses(images.size());
    const auto one = [&](std::int64_t number) {
      const auto i = static_cast<std::size_t>(number);
      const Borrowed copy(*this);
      losses[i] = body(i, copy.stage(), images[i], share(i));
    };
    if (workers_ != nullptr) {
      workers_->for_each(std::ssize(images), one);
    } else {
      for (std::int64_t i = 0; i < std::ssize(images); ++i) one(i);
    }
    std::optional<at::Tensor> sum;
    for (std::size_t i = 0; i < images.size(); ++i) {
      if (losses[i]) sum = sum ? *sum + *losses[i] * share(i) : *losses[i] * share(i);
    }
    return sum;
  }

  // A copy that no other thread has.
  class Borrowed {
   public:
    explicit Borrowed(ByImage& from) : from_(from) {
      std::lock_guard lock(from_.mutex_);
      copy_ = from_.free_.back();
      from_.free_.pop_back();
    }
    ~Borrowed() {
      std::lock_guard lock(from_.mutex_);
      from_.free_.push_back(copy_);
    }
    Borrowed(const Borrowed&) = delete;
    Borrowed& operator=(const Borrowed&) = delete;
    Stage& stage() const { return *copy_->stage; }

   private:
    ByImage& from_;
    Copy* copy_;
  };

  std::unique_ptr<Stage> whole_;
  Workers* workers_;
  std::vector<std::unique_ptr<Copy>> copies_;  // one for each thread
  std::mutex mutex_;
  std::vector<Copy*> free_;  // under mutex_
};

}  // namespace

std::unique_ptr<Stage> open_by_image(model::CellSam& model, const OpenStage& open, Workers* workers) {
  auto whole = open(model);
  if (!whole->divides()) return whole;
  return std::make_unique<ByImage>(std::move(whole), model, open, workers);
}

}  // namespace cellsam::train
