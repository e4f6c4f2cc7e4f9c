#include "job_thread.h"

#include <algorithm>
#include <system_error>
#include <utility>

namespace cellsam::binding {

std::shared_ptr<JobThread> JobThread::start(const std::shared_ptr<Environment>& environment) {
  if (environment->stopped()) throw Error("ERR_DISPOSED", "the process or worker is ending; no work can be started");
  auto self = std::make_shared<JobThread>();
  self->environment_ = environment;
  self->thread_ = std::thread([thread = self.get()] { thread->loop(); });
  environment->adopt(self);
  return self;
}

JobThread::~JobThread() {
  if (!thread_.joinable()) return;
  stop();
  thread_.join();
}

void JobThread::submit(std::shared_ptr<Job> job) {
  {
    std::lock_guard lock(mutex_);
    if (!finishing_) {
      queue_.push_back(std::move(job));
      changed_.notify_all();
      return;
    }
  }
  job->reject({"ERR_DISPOSED", "the session was disposed of; open a new one", {}});
}

void JobThread::clear() {
  std::deque<std::shared_ptr<Job>> queued;
  {
    std::lock_guard lock(mutex_);
    queued.swap(queue_);
    for (const auto& job : running_) job->abandon();
  }
  for (const auto& job : queued) job->reject({"ERR_DISPOSED", "the session was disposed of before the command ran", {}});
}

void JobThread::finish(std::function<void()> last) {
  std::lock_guard lock(mutex_);
  if (finishing_) return;
  finishing_ = true;
  last_ = std::move(last);
  changed_.notify_all();
}

void JobThread::stop() {
  std::deque<std::shared_ptr<Job>> dropped;  // their promises stay pending: no JavaScript runs any more
  std::lock_guard lock(mutex_);
  finishing_ = true;
  dropped.swap(queue_);
  for (const auto& job : running_) job->abandon();
  changed_.notify_all();
}

void JobThread::join() {
  if (thread_.joinable()) thread_.join();
}

// One that runs alone waits for all that run. Those in running_ are of the other kind, since the former block the loop.
bool JobThread::next_may_start() const { return !queue_.empty() && std::ssize(running_) < queue_.front()->at_once(); }

void JobThread::run(const std::shared_ptr<Job>& job, std::unique_lock<std::mutex>& lock) {
  lock.unlock();
  job->run();
  lock.lock();
  std::erase(running_, job);
  changed_.notify_all();
}

void JobThread::loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return next_may_start() || (finishing_ && queue_.empty() && running_.empty()); });
    if (queue_.empty()) break;
    const auto job = std::move(queue_.front());
    queue_.pop_front();
    running_.push_back(job);
    const auto at_once = job->at_once();
    if (at_once > 1 && start_helper(at_once)) {
      handed_.push_back(job);
      changed_.notify_all();
    } else {
      run(job, lock);
    }
  }
  helpers_end_ = true;
  changed_.notify_all();
  const auto last = std::exchange(last_, nullptr);
  lock.unlock();
  for (auto& helper : helpers_) helper.join();
  if (last) last();
  ended_ = true;
  environment_->post([environment = environment_](Napi::Env) { environment->reap(); });
}

// Whether there is a helper for one more job of which so many run at once; starts one where all have work. Called with the
// lock.
bool JobThread::start_helper(std::int64_t at_once) {
  if (idle_helpers_ > handed_.size() || std::ssize(helpers_) >= at_once) return true;
  try {
    helpers_.emplace_back([this] { help(); });
  } catch (const std::system_error&) {  // the system has no more threads
    return !helpers_.empty();
  }
  return true;
}

void JobThread::help() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_helpers_;
    changed_.wait(lock, [this] { return helpers_end_ || !handed_.empty(); });
    --idle_helpers_;
    if (handed_.empty()) return;
    const auto job = std::move(handed_.front());
    handed_.pop_front();
    run(job, lock);
  }
}

}  // namespace cellsam::binding
