// Stage 2 with an allocator that refuses: prompts are taken in smaller chunks, and the numbers stay what they were.
#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>

#include "base/tensors.h"
#include "device/device.h"
#include "engine/session.h"
#include "engine/store_writer.h"
#include "native/checks.h"
#include "native/folder.h"
#include "native/limited_allocator.h"
#include "native/program.h"
#include "native/small_model.h"

namespace cellsam::test::out_of_memory_program {

namespace {

struct Listener : Control {
  bool cancelled() const override { return false; }
  bool abandoned() const override { return false; }
  void emit(Value event) override { events.push_back(std::move(event)); }
  std::vector<std::string> notices() const {
    std::vector<std::string> found;
    for (const auto& event : events) {
      const auto& entries = *event.as<Dict>();
      if (*entries.at("type").as<std::string>() == "notice") found.push_back(*entries.at("message").as<std::string>());
    }
    return found;
  }
  std::vector<Value> events;
};

bool says_out_of_memory(const char* message) {
  try {
    TORCH_CHECK(false, message);
  } catch (const c10::Error& error) {
    return device::is_out_of_memory(error);
  }
}

std::unique_ptr<Session> small_session() {
  Options options(Dict{{"size", "tiny"}, {"overrides", small_sizes()}, {"threads", 1}, {"seed", 1}}, "open");
  return engine::open_model(options);
}

}  // namespace

TEST_PROGRAM(out_of_memory) {
  test::Checks checks("out_of_memory");
  auto& allocator = test::limited_allocator();
  const test::Folder folder;
  const auto path = folder.file("set.tiles");
  Listener quiet;
  {
    Options options(Dict{{"path", path}, {"tile_size", 64}, {"overlap", 0.0}, {"normalize", false}}, "open");
    auto writer = engine::open_store_writer(options);
    at::manual_seed(2);
    for (int tile = 0; tile < 2; ++tile) {
      const auto image = at::randint(40, {64, 64, 3}, at::kByte);
      auto labels = at::zeros({64, 64}, at::kInt);
      for (int i = 0; i < 16; ++i)
        labels.slice(0, i / 4 * 16 + 2, i / 4 * 16 + 12).slice(1, i % 4 * 16 + 2, i % 4 * 16 + 12).fill_(i + 1);
      writer->call("add", Dict{{"image", to_array(image)}, {"labels", to_array(labels)}, {"source", tile == 0 ? "a" : "b"}},
                   quiet);
    }
    writer->call("finish", Dict{}, quiet);
  }

  struct Outcome {
    Dict losses, digest;
    std::vector<std::string> notices;
    std::size_t largest;
  };
  // One epoch over both tiles as one group of two batches, so that the second meets gradients of the first.
  const auto train = [&](std::int64_t chunk, std::size_t limit, bool mining = false, bool graphs = false) {
    auto session = small_session();
    Listener control;
    session->call("begin_stage",
                  Dict{{"stage", 2},
                       {"epochs", 1},
                       {"steps_per_epoch", 2},
                       {"optimizer", "sgd"},
                       {"learning_rate", 0.1},
                       {"accumulate", 2},
                       {"prompt_chunk", chunk},
                       {"train_neck_only", false},
                       {"freeze_mask_decoder", false},
                       {"online_hard_negative_mining", mining},
                       {"cuda_graphs", graphs}},
                  control);
    const Dict request{{"store", path}, {"indices", to_array(at::tensor({0, 1}, at::kInt))}, {"batch_size", 1}};
    session->call("validate", request, control);  // opens the store before anything is measured
    allocator.largest = 0;
    allocator.limit = limit;
    auto epoch = request;
    epoch["epoch"] = 1;
    Outcome outcome;
    try {
      outcome.losses = *session->call("train_epoch", epoch, control).as<Dict>()->at("losses").as<Dict>();
    } catch (...) {
      allocator.limit = SIZE_MAX;
      throw;
    }
    outcome.largest = allocator.largest;
    allocator.limit = SIZE_MAX;
    const auto weights = folder.file("weights.safetensors");
    outcome.digest = *session->call("save", Dict{{"path", weights}, {"format", "safetensors"}}, control).as<Dict>();
    outcome.notices = control.notices();
    return outcome;
  };
  const auto total = [](const Outcome& outcome) { return *outcome.losses.at("total_loss").as<double>(); };
  const auto sha = [](const Outcome& outcome) { return *outcome.digest.at("sha256").as<std::string>(); };

  const auto whole = train(0, SIZE_MAX), halves = train(8, SIZE_MAX);
  checks.holds("chunks are what the memory goes into", halves.largest < whole.largest);
  for (const bool as_device : {false, true}) {
    allocator.as_device = as_device;
    allocator.refused = 0;
    const auto short_of = train(0, whole.largest - 1);
    checks.holds("it was refused once and went on", allocator.refused == 1 && short_of.notices.size() == 1);
    checks.holds("the notice says how many", short_of.notices.at(0).find("with 16 prompts") != std::string::npos &&
                                                 short_of.notices.at(0).find("with 8") != std::string::npos);
    checks.holds("the losses are those of the smaller chunks", total(short_of) == total(halves));
    checks.holds("and so are the weights, to the last bit", sha(short_of) == sha(halves));
  }
  const auto mined = train(8, SIZE_MAX, true), short_mined = train(0, whole.largest - 1, true);
  checks.holds("with mining too", total(mined) == total(short_mined) && sha(mined) == sha(short_mined));
  // In the form that a CUDA graph repeats; on the CPU a notice says that this is no use there.
  const auto padded = train(8, SIZE_MAX, true, true);
  const auto short_padded = train(0, train(0, SIZE_MAX, true, true).largest - 1, true, true);
  checks.holds("by graphs it is said",
               short_padded.notices.size() == 2 && short_padded.notices.at(1).find("with 16 prompts") != std::string::npos);
  checks.holds("by graphs too", total(padded) == total(short_padded) && sha(padded) == sha(short_padded));
  bool failed = false;
  try {
    train(0, 2000);
  } catch (const c10::Error&) {
    failed = true;
  }
  checks.holds("too little for a single prompt is an error", failed);
  checks.holds("oneDNN's words say it", says_out_of_memory("could not create a primitive"));
  for (const auto* words :
       {"CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other API call",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `create(handle)`"}) {
    checks.holds(std::string(words).substr(0, 25) + " says it", says_out_of_memory(words));
  }
  try {
    throw c10::AcceleratorError({"f", "file", 1}, /*cudaErrorMemoryAllocation=*/2, "CUDA error: out of memory");
  } catch (const c10::Error& error) {
    checks.holds("an error of the device says it", device::is_out_of_memory(error));
  }
  checks.holds("another of the device does not", !says_out_of_memory("CUDA error: an illegal memory access was encountered"));
  checks.holds("another of cuBLAS does not", !says_out_of_memory("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"));
  checks.holds("those of another error do not", !says_out_of_memory("could not create a primitive descriptor for a matmul"));
  return checks.finish();
}

}  // namespace cellsam::test::out_of_memory_program
