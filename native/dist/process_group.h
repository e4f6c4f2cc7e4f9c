// The processes that train one model together, on this machine or on several: torch's stores (TCPStore, FileStore) to find each
// other and to pass messages, Gloo for sums. Process 0 drives, and the others do what it tells them.
#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine.h"

namespace c10d {
class Store;
}

namespace cellsam::dist {

// What a process has to know to join the others.
struct Membership {
  std::int64_t rank = 0, size = 1;
  std::string address;       // of the store: a host that all reach
  std::int64_t port = 0;     // of the store
  bool hosts_store = false;  // whether this process is the store's server; not where torchrun is
  std::string file;          // a new file on a file system that all see, in place of address and port
  std::string attempt;       // the same for all; another one when the processes are started again with the same store
  std::string machine;       // name of the machine
  std::string cores;         // which cores of it this process may use, in any notation
  std::string interface;     // of the network, such as "eth0"; empty: loopback on one machine, else that of the machine's name
  std::chrono::milliseconds timeout{600'000};  // after which a process that does not answer is lost
};

// All functions throw ERR_PEER_LOST when another process has ended or does not answer in time, and from then on always.
// Collective functions (number to gather) must be called by all processes, in the same order.
class ProcessGroup {
 public:
  // Waits for all processes, for two minutes or the timeout, whichever is longer.
  explicit ProcessGroup(const Membership& membership);
  ~ProcessGroup();
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  std::int64_t rank() const { return rank_; }
  std::int64_t size() const { return size_; }
  std::int64_t local_rank() const { return local_rank_; }      // among the processes of this machine
  std::int64_t core_sharers() const { return core_sharers_; }  // processes that may use the same cores, this one included

  std::chrono::milliseconds timeout() const { return timeout_; }
  c10d::Store& store();                          // that all share
  std::int64_t number() { return numbered_++; }  // another one each time, for names in the store; collective

  // Runs `body`, in which an exception of torch means that another process is lost.
  void guard(const char* what, const std::function<void()>& body);

  // Sums each of the tensors over all processes, in place. They are dense, on the host, and of the same sizes everywhere. All
  // processes get the same bits, and the same again for the same numbers.
  void sum(const std::vector<at::Tensor>& tensors);

  // Copies the tensors of process 0 to the others, in place; on any device.
  void broadcast(const std::vector<at::Tensor>& tensors);

  // Whether one of the processes wishes it.
  bool any(bool wish) { return agree(wish, nullptr); }

  // The same, where `failure` is what went wrong in this process, or null. If something did in one of them, all throw: that one
  // its own failure, the others an Error with its code and its message.
  bool agree(bool wish, const std::exception_ptr& failure);

  // Runs `body`, which may throw in some of the processes and must not call collective functions, and agrees on how it went.
  template <class Body>
  auto together(Body body) -> decltype(body()) {
    std::optional<decltype(body())> result;
    std::exception_ptr failure;
    try {
      result = body();
    } catch (...) {
      failure = std::current_exception();
    }
    agree(false, failure);
    return std::move(*result);
  }

  // Passes a text, which is not empty, to process 0, which gets those of all by rank; the others get nothing. Collective.
  std::vector<std::string> gather(const std::string& text);

  // Process 0: passes a message to all others, which receive them in order.
  void tell(const std::string& message);

  // The others: waits for the next message, however long process 0 works, as long as it lives. Nothing when `control` is
  // cancelled.
  std::optional<std::string> receive(const Control& control);

 private:
  struct Torch;  // torch's store and backend
  template <class Body>
  auto guarded(const char* what, Body body);
  [[noreturn]] void lose(const std::string& reason);
  void meet(const Membership& membership);
  void leave_file();
  std::string failure_of(std::int64_t rank);

  const std::int64_t rank_, size_;
  const std::chrono::milliseconds timeout_;
  [[maybe_unused]] const std::string file_;  // where they met, empty: at an address
  std::int64_t local_rank_ = 0, core_sharers_ = 1;
  std::vector<std::string> machines_;  // by rank
  std::int64_t failures_ = 0;          // that all have agreed on
  std::int64_t messages_ = 0;          // told by process 0
  std::int64_t numbered_ = 0;          // numbers that were given
  std::atomic<bool> lost_{false};
  std::unique_ptr<Torch> torch_;
};

// The group that this process is in, if any. A process is in one at a time.
std::shared_ptr<ProcessGroup> joined_group();
// Throws ERR_STATE where there is one already.
std::shared_ptr<ProcessGroup> join_group(const Membership& membership);

}  // namespace cellsam::dist
