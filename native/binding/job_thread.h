// The thread of a session: it runs jobs in the order in which they were queued, one after another, and those that may run side
// by side on threads of their own. Jobs are created on the JavaScript thread and settle their promises there.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "environment.h"
#include "job.h"

namespace cellsam::binding {

class JobThread final : public Stoppable {
 public:
  // JavaScript thread. The environment keeps the thread until it has ended.
  static std::shared_ptr<JobThread> start(const std::shared_ptr<Environment>& environment);
  ~JobThread() override;

  // Queues a job. After finish() or stop() it is rejected with ERR_DISPOSED.
  void submit(std::shared_ptr<Job> job);
  // Abandons the running jobs, and rejects the queued ones with ERR_DISPOSED.
  void clear();
  // Ends the thread after the queued jobs; `last` runs on it at its end.
  void finish(std::function<void()> last = {});

  void stop() override;
  void join() override;
  bool ended() const override { return ended_; }

 private:
  void loop();
  void help();
  bool next_may_start() const;
  bool start_helper(std::int64_t at_once);
  void run(const std::shared_ptr<Job>& job, std::unique_lock<std::mutex>& lock);

  std::shared_ptr<Environment> environment_;
  std::mutex mutex_;
  std::condition_variable changed_;            // of what is under mutex_
  std::deque<std::shared_ptr<Job>> queue_;     // under mutex_; not begun
  std::vector<std::shared_ptr<Job>> running_;  // under mutex_; one that runs alone, or some that run side by side
  std::deque<std::shared_ptr<Job>> handed_;    // under mutex_; of running_, those that no helper has taken yet
  std::function<void()> last_;                 // under mutex_
  bool finishing_ = false;                     // under mutex_
  bool helpers_end_ = false;                   // under mutex_
  std::size_t idle_helpers_ = 0;               // under mutex_
  std::atomic<bool> ended_{false};
  std::vector<std::thread> helpers_;  // of jobs that run side by side; the thread's own
  std::thread thread_;
};

}  // namespace cellsam::binding
