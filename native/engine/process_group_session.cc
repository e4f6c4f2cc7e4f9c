#include "engine/process_group_session.h"

#include <exception>

#include "device/device.h"
#include "dist/process_group.h"

namespace cellsam::engine {
namespace {

class ProcessGroupSession final : public Session {
 public:
  explicit ProcessGroupSession(const dist::Membership& membership) : group_(dist::join_group(membership)) {
    device::share_cores(group_->core_sharers());
  }
  ~ProcessGroupSession() override { device::share_cores(1); }

  Value call(std::string_view command, const Value& arguments, Control& control) override {
    Options options(arguments, "process_group." + std::string(command));
    if (command == "tell") {
      const auto message = options.require_text("message");
      options.done();
      group_->tell(message);
      return {};
    }
    if (command == "agree") {
      const auto code = options.text("code", ""), message = options.text("message", "");
      options.done();
      group_->agree(false, code.empty() ? nullptr : std::make_exception_ptr(Error(code, message)));
      return {};
    }
    if (command == "gather") {
      const auto text = options.require_text("text");
      options.done();
      List texts;
      for (auto& from : group_->gather(text)) texts.emplace_back(std::move(from));
      return Dict{{"texts", std::move(texts)}};
    }
    options.done();
    if (command == "receive") {
      const auto message = group_->receive(control);
      return Dict{{"message", message ? Value(*message) : Value()}};
    }
    if (command == "place") {
      return Dict{{"rank", group_->rank()},
                  {"size", group_->size()},
                  {"local_rank", group_->local_rank()},
                  {"core_sharers", group_->core_sharers()}};
    }
    throw Error("ERR_INVALID_ARGUMENT",
                "process_group: unknown command " + std::string(command) + "; known: place, tell, receive, agree, gather");
  }

 private:
  std::shared_ptr<dist::ProcessGroup> group_;
};

}  // namespace

std::unique_ptr<Session> open_process_group(Options& options) {
  dist::Membership membership;
  membership.rank = options.require_integer("rank");
  membership.size = options.require_integer("size");
  membership.address = options.text("address", "");
  membership.port = options.integer("port", 0);
  membership.hosts_store = options.flag("hosts_store", false);
  membership.file = options.text("file", "");
  membership.attempt = options.text("attempt", "0");
  membership.machine = options.require_text("machine");
  membership.cores = options.text("cores", "");
  membership.interface = options.text("interface", "");
  membership.timeout = std::chrono::milliseconds(static_cast<std::int64_t>(1000 * options.number("timeout", 600)));
  options.done();
  return std::make_unique<ProcessGroupSession>(membership);
}

}  // namespace cellsam::engine
