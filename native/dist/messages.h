// Messages from process 0 to the others, through the store, and the sign of life by which they know that it still works.
#pragma once

#include <torch/csrc/distributed/c10d/Store.hpp>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine.h"

namespace cellsam::dist {

using StorePointer = c10::intrusive_ptr<c10d::Store>;

std::vector<std::uint8_t> bytes_of(const std::string& text);
std::string text_of(const std::vector<std::uint8_t>& bytes);
std::string message_key(std::int64_t number);  // in the store, of process 0's messages from number 0 on

// Gives a sign of life four times within `timeout`, on a thread of its own.
class Heartbeat {
 public:
  Heartbeat(StorePointer store, std::chrono::milliseconds timeout);
  ~Heartbeat();
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable ended_;
  bool end_ = false;  // under mutex_
  std::thread thread_;
};

// Looks for messages on a thread of its own, since a call of a store whose server hangs never returns.
class Listener {
 public:
  Listener(StorePointer store, std::chrono::milliseconds timeout);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // The next message. Nothing when `control` is cancelled. Throws std::runtime_error when there was no sign of life for the
  // timeout, or the store is gone.
  std::optional<std::string> receive(const Control& control);

 private:
  struct State;
  std::shared_ptr<State> state_;  // also of the thread, which may outlive this
  std::thread thread_;
};

}  // namespace cellsam::dist
