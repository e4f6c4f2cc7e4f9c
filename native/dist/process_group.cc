#include "dist/process_group.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <filesystem>
#include <mutex>

#ifndef _WIN32
#define USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "dist/messages.h"
#endif

namespace cellsam::dist {
namespace {

constexpr std::chrono::milliseconds kJoinTimeout{120'000};  // at least: machines do not start at the same moment
constexpr std::chrono::milliseconds kLeaveTimeout{5'000};

std::string first_line(std::string text) { return text.substr(0, text.find('\n')); }

struct Failure {
  std::string code, message;
};

Failure describe(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    return {error.code, error.what()};
  } catch (const c10::OutOfMemoryError& error) {
    return {"ERR_OUT_OF_MEMORY", error.what_without_backtrace()};
  } catch (const c10::Error& error) {
    return {"ERR_TORCH", error.what_without_backtrace()};
  } catch (const std::bad_alloc&) {
    return {"ERR_OUT_OF_MEMORY", "out of memory"};
  } catch (const std::exception& error) {
    return {"ERR_INTERNAL", error.what()};
  }
}

}  // namespace

#ifdef _WIN32

// libtorch for Windows has no Gloo that its headers declare.
struct ProcessGroup::Torch {};
ProcessGroup::ProcessGroup(const Membership& membership)
    : rank_(membership.rank), size_(membership.size), timeout_(membership.timeout) {
  throw Error("ERR_CONFIG", "several processes cannot train one model on Windows: start one, or set distributed to \"off\"");
}
ProcessGroup::~ProcessGroup() = default;
void ProcessGroup::sum(const std::vector<at::Tensor>&) {}
void ProcessGroup::broadcast(const std::vector<at::Tensor>&) {}
bool ProcessGroup::agree(bool wish, const std::exception_ptr&) { return wish; }
std::vector<std::string> ProcessGroup::gather(const std::string&) { return {}; }
c10d::Store& ProcessGroup::store() { throw Error("ERR_STATE", "a group of processes cannot be joined on Windows"); }
void ProcessGroup::guard(const char*, const std::function<void()>& body) { body(); }
void ProcessGroup::tell(const std::string&) {}
std::optional<std::string> ProcessGroup::receive(const Control&) { return std::nullopt; }

#else

struct ProcessGroup::Torch {
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;  // null once a process is lost: the others notice the closed connections
  std::unique_ptr<Heartbeat> heartbeat;             // of process 0
  std::unique_ptr<Listener> listener;               // of the others
};

// Gloo throws std::runtime_error, torch's stores c10::Error.
template <class Body>
auto ProcessGroup::guarded(const char* what, Body body) {
  if (lost_) lose("it was lost before");
  try {
    return body();
  } catch (const c10::Error& error) {
    lose(std::string(what) + ": " + first_line(error.what_without_backtrace()));
  } catch (const std::runtime_error& error) {
    lose(std::string(what) + ": " + first_line(error.what()));
  }
}

void ProcessGroup::lose(const std::string& reason) {
  if (!lost_.exchange(true) && torch_) torch_->gloo.reset();
  throw Error("ERR_PEER_LOST",
              "a process of this training has ended or does not answer (seen by process " + std::to_string(rank_) + " of " +
                  std::to_string(size_) + ": " + reason + "). What was saved is intact: resume the training.",
              {{"rank", rank_}, {"size", size_}});
}

ProcessGroup::ProcessGroup(const Membership& membership)
    : rank_(membership.rank),
      size_(membership.size),
      timeout_(membership.timeout),
      file_(membership.file),
      torch_(std::make_unique<Torch>()) {
  if (size_ < 1 || rank_ < 0 || rank_ >= size_) {
    throw Error("ERR_INVALID_ARGUMENT", "process " + std::to_string(rank_) + " of " + std::to_string(size_) + " cannot be");
  }
  const auto where = membership.file.empty() ? membership.address + ":" + std::to_string(membership.port) : membership.file;
  guarded(("meeting at " + where).c_str(), [&] { meet(membership); });
  if (rank_ == 0) {
    torch_->heartbeat = std::make_unique<Heartbeat>(torch_->store, timeout_);
  } else {
    torch_->listener = std::make_unique<Listener>(torch_->store, timeout_);
  }
}

ProcessGroup::~ProcessGroup() {
  if (!file_.empty()) leave_file();
}

// Two of torch's stores that end at the same moment both leave the file for the other to remove. So process 0 does, when the
// others have said that they do not touch it any more: their stores never end.
void ProcessGroup::leave_file() {
  torch_->heartbeat.reset();
  torch_->listener.reset();
  torch_->gloo.reset();
  const auto key = [](std::int64_t rank) { return "left/" + std::to_string(rank); };
  try {
    if (rank_ != 0) {
      torch_->store->set(key(rank_), bytes_of("1"));
    } else if (!lost_) {
      std::vector<std::string> others;
      for (std::int64_t rank = 1; rank < size_; ++rank) others.push_back(key(rank));
      torch_->store->wait(others, kLeaveTimeout);
    }
  } catch (const std::exception&) {
    // One that has ended in another way touches it as little.
  }
  if (rank_ == 0) {
    std::error_code missing;
    std::filesystem::remove(file_, missing);
  } else {
    static auto& kept = *new std::vector<c10::intrusive_ptr<c10d::Store> >;
    kept.push_back(torch_->store);
  }
}

void ProcessGroup::meet(const Membership& membership) {
  const auto patience = std::max(timeout_, kJoinTimeout);
  c10::intrusive_ptr<c10d::Store> store;
  if (!membership.file.empty()) {
    store = c10::make_intrusive<c10d::FileStore>(membership.file, static_cast<int>(size_));
  } else {
    c10d::TCPStoreOptions options;
    options.port = static_cast<std::uint16_t>(membership.port);
    options.isServer = membership.hosts_store;
    options.numWorkers = static_cast<std::size_t>(size_);
    options.timeout = patience;
    store = c10::make_intrusive<c10d::TCPStore>(membership.address, options);
  }
  store = c10::make_intrusive<c10d::PrefixStore>("cellsam/" + membership.attempt, store);
  store->setTimeout(patience);
  torch_->store = store;

  const auto place = [](std::int64_t rank) { return "place/" + std::to_string(rank); };
  store->set(place(rank_), bytes_of(membership.machine + "\n" + membership.cores));
  bool one_machine = true;
  core_sharers_ = 0;
  for (std::int64_t rank = 0; rank < size_; ++rank) {
    const auto found = text_of(store->get(place(rank)));
    const bool here = found.starts_with(membership.machine + "\n");
    one_machine = one_machine && here;
    if (here && rank < rank_) ++local_rank_;
    if (found == membership.machine + "\n" + membership.cores) ++core_sharers_;
    machines_.push_back(found.substr(0, found.find('\n')));
  }

  auto options = c10d::ProcessGroupGloo::Options::create(timeout_);
  using Gloo = c10d::ProcessGroupGloo;
  if (!membership.interface.empty()) {
    options->devices.push_back(Gloo::createDeviceForInterface(membership.interface));
  } else {
    options->devices.push_back(one_machine ? Gloo::createDeviceForHostname("127.0.0.1") : Gloo::createDefaultDevice());
  }
  torch_->gloo = c10::make_intrusive<Gloo>(store, static_cast<int>(rank_), static_cast<int>(size_), options);
  store->setTimeout(timeout_);
}

c10d::Store& ProcessGroup::store() { return *torch_->store; }

void ProcessGroup::guard(const char* what, const std::function<void()>& body) { guarded(what, body); }

void ProcessGroup::sum(const std::vector<at::Tensor>& tensors) {
  guarded("sum", [&] {
    std::vector<c10::intrusive_ptr<c10d::Work> > works;
    for (const auto& tensor : tensors) {
      std::vector<at::Tensor> one{tensor};
      works.push_back(torch_->gloo->allreduce(one));
    }
    for (auto& work : works) work->wait();
  });
}

void ProcessGroup::broadcast(const std::vector<at::Tensor>& tensors) {
  at::NoGradGuard no_grad;
  guarded("broadcast", [&] {
    // All are on their way before the first is waited for: most are small, and a message takes longer than its bytes.
    std::vector<at::Tensor> copies;
    std::vector<c10::intrusive_ptr<c10d::Work> > works;
    for (const auto& tensor : tensors) {
      copies.push_back(tensor.detach().cpu().contiguous());
      std::vector<at::Tensor> one{copies.back()};
      works.push_back(torch_->gloo->broadcast(one));
    }
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      works[i]->wait();
      if (rank_ != 0) tensors[i].detach().copy_(copies[i]);
    }
  });
}

bool ProcessGroup::agree(bool wish, const std::exception_ptr& failure) {
  if (failure) {
    const auto [code, message] = describe(failure);
    // A process that is about to end has nothing to agree on, and its closed connections tell the others.
    if (code == "ERR_DISPOSED" && !lost_.exchange(true)) torch_->gloo.reset();
    if (lost_) std::rethrow_exception(failure);
    guarded("failure", [&] {
      torch_->store->set("failure/" + std::to_string(failures_) + "/" + std::to_string(rank_), bytes_of(code + "\n" + message));
    });
  }
  auto votes = at::zeros({size_ + 1}, at::kFloat);  // who has failed | how many wish
  if (failure) votes[rank_].fill_(1);
  if (wish) votes[size_].fill_(1);
  sum({votes});
  const auto* counted = votes.const_data_ptr<float>();
  for (std::int64_t rank = 0; rank < size_; ++rank) {
    if (counted[rank] == 0) continue;
    if (failure) {
      ++failures_;
      std::rethrow_exception(failure);
    }
    const auto told = failure_of(rank);
    ++failures_;
    const auto end = told.find('\n');
    throw Error(
        told.substr(0, end),
        "process " + std::to_string(rank) + " on " + machines_[static_cast<std::size_t>(rank)] + ": " + told.substr(end + 1),
        {{"rank", rank}, {"machine", machines_[static_cast<std::size_t>(rank)]}});
  }
  return counted[size_] > 0;
}

std::string ProcessGroup::failure_of(std::int64_t rank) {
  return guarded("failure", [&] {
    return text_of(torch_->store->get("failure/" + std::to_string(failures_) + "/" + std::to_string(rank)));
  });
}

std::vector<std::string> ProcessGroup::gather(const std::string& text) {
  const auto key = [round = number()](std::int64_t rank) {
    return "text/" + std::to_string(round) + "/" + std::to_string(rank);
  };
  guarded("text", [&] { torch_->store->set(key(rank_), bytes_of(text)); });
  agree(false, nullptr);  // that all are there
  std::vector<std::string> texts;
  if (rank_ != 0) return texts;
  guarded("text", [&] {
    for (std::int64_t rank = 0; rank < size_; ++rank) {
      texts.push_back(text_of(torch_->store->get(key(rank))));
      torch_->store->deleteKey(key(rank));
    }
  });
  return texts;
}

void ProcessGroup::tell(const std::string& message) {
  guarded("message", [&] { torch_->store->set(message_key(messages_), bytes_of(message)); });
  ++messages_;
}

std::optional<std::string> ProcessGroup::receive(const Control& control) {
  return guarded("message", [&] { return torch_->listener->receive(control); });
}

#endif

namespace {
std::mutex joined_mutex;
std::weak_ptr<ProcessGroup> joined;  // under joined_mutex
}  // namespace

std::shared_ptr<ProcessGroup> joined_group() {
  std::lock_guard lock(joined_mutex);
  return joined.lock();
}

std::shared_ptr<ProcessGroup> join_group(const Membership& membership) {
  std::lock_guard lock(joined_mutex);
  if (!joined.expired()) throw Error("ERR_STATE", "this process trains with others already");
  auto group = std::make_shared<ProcessGroup>(membership);
  joined = group;
  return group;
}

}  // namespace cellsam::dist
