#ifndef _WIN32  // process_group.cc

#include "dist/messages.h"

#include <algorithm>
#include <deque>
#include <stdexcept>

namespace cellsam::dist {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kAlive = "alive";                       // key in the store, whose value changes
constexpr std::chrono::milliseconds kLongestPause{5'000};     // between two signs of life
constexpr std::chrono::milliseconds kPoll{2}, kLongPoll{20};  // between two looks for a message, in its first second and later
constexpr std::chrono::milliseconds kFarewell{500};           // for a listener to end

}  // namespace

std::vector<std::uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }
std::string text_of(const std::vector<std::uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }
std::string message_key(std::int64_t number) { return "message/" + std::to_string(number); }

Heartbeat::Heartbeat(StorePointer store, std::chrono::milliseconds timeout) {
  thread_ = std::thread([this, store = std::move(store), pause = std::min<Clock::duration>(timeout / 4, kLongestPause)] {
    std::unique_lock lock(mutex_);
    try {
      for (std::int64_t beat = 0; !end_; ++beat) {
        store->set(kAlive, bytes_of(std::to_string(beat)));
        ended_.wait_for(lock, pause, [this] { return end_; });
      }
    } catch (const std::exception&) {
      // The store is gone, which the next message or sum will say.
    }
  });
}

Heartbeat::~Heartbeat() {
  {
    std::lock_guard lock(mutex_);
    end_ = true;
  }
  ended_.notify_all();
  thread_.join();
}

struct Listener::State {
  State(StorePointer from, std::chrono::milliseconds patience) : store(std::move(from)), timeout(patience) {}

  const StorePointer store;
  const std::chrono::milliseconds timeout;
  std::mutex mutex;
  std::condition_variable changed;        // of what is under mutex
  std::deque<std::string> messages;       // under mutex
  Clock::time_point sign = Clock::now();  // under mutex; when the last one of life was seen
  std::string failure;                    // under mutex; of the store
  bool end = false, ended = false;        // under mutex; whether the thread is to end, and whether it has

  void listen() {
    std::string seen;
    auto looked = Clock::now(), last_message = looked;
    for (std::int64_t number = 0;;) {
      const auto now = Clock::now();
      if (store->check({message_key(number)})) {
        auto message = text_of(store->get(message_key(number++)));
        last_message = now;
        std::lock_guard lock(mutex);
        messages.push_back(std::move(message));
        sign = now;
        changed.notify_all();
        continue;
      }
      if (now - looked > std::min<Clock::duration>(timeout / 8, std::chrono::seconds(1))) {
        looked = now;
        const auto beat = store->check({kAlive}) ? text_of(store->get(kAlive)) : std::string();
        if (beat != seen) {
          std::lock_guard lock(mutex);
          sign = now;
        }
        seen = beat;
      }
      std::unique_lock lock(mutex);
      const auto pause = now - last_message < std::chrono::seconds(1) ? kPoll : kLongPoll;
      if (changed.wait_for(lock, pause, [this] { return end; })) return;
    }
  }
};

Listener::Listener(StorePointer store, std::chrono::milliseconds timeout)
    : state_(std::make_shared<State>(std::move(store), timeout)) {
  thread_ = std::thread([state = state_] {
    std::string failure;
    try {
      state->listen();
    } catch (const std::exception& error) {
      failure = error.what();
    }
    std::lock_guard lock(state->mutex);
    state->failure = failure;
    state->ended = true;
    state->changed.notify_all();
  });
}

Listener::~Listener() {
  std::unique_lock lock(state_->mutex);
  state_->end = true;
  state_->changed.notify_all();
  const bool ended = state_->changed.wait_for(lock, kFarewell, [this] { return state_->ended; });
  lock.unlock();
  if (ended) {
    thread_.join();
  } else {
    thread_.detach();
  }
}

std::optional<std::string> Listener::receive(const Control& control) {
  auto& state = *state_;
  std::unique_lock lock(state.mutex);
  for (;;) {
    if (!state.messages.empty()) {
      auto message = std::move(state.messages.front());
      state.messages.pop_front();
      return message;
    }
    if (state.ended) throw std::runtime_error("the store is gone: " + state.failure);
    if (control.cancelled()) return std::nullopt;
    if (Clock::now() - state.sign > state.timeout) {
      throw std::runtime_error("no sign of life of process 0 for " + std::to_string(state.timeout.count()) + " ms");
    }
    state.changed.wait_for(lock, kLongPoll);
  }
}

}  // namespace cellsam::dist

#endif
