// The file of kept features: several readers and writers, damage of every kind, limits of disk and memory.
#include "cache/feature_file.h"

#include <chrono>
#include <cstdlib>

#include "native/feature_check.h"
#include "native/program.h"
#include "os/file.h"

namespace cellsam::test::feature_file_program {

using namespace cellsam::test;

namespace {

void flip(const std::string& path, std::int64_t offset) {
  std::error_code error;
  const os::File file(path, os::Access::update, error);
  char byte = 0;
  file.read(&byte, 1, offset, error);
  byte = static_cast<char>(byte ^ 0x10);
  if (!file.write(&byte, 1, offset, error)) std::abort();
}

void check_sharing(test::Checks& checks) {
  const test::Folder folder;
  {
    auto one = open_in(folder.file("")), two = open_in(folder.file(""));
    checks.holds("nothing is there at first", find(one, 1) == Found::no);
    for (std::uint64_t i = 0; i < 200; ++i) add(one, i);  // more than three index blocks
    checks.holds("a file finds what it has added", all_right(one, 0, 200));
    checks.holds("and so does another that was open before", all_right(two, 0, 200));
    const auto size = std::filesystem::file_size(cache::FeatureFolder(folder.file(""), 0).file_of(kKey));
    add(two, 7);
    checks.holds("nothing is added twice",
                 std::filesystem::file_size(cache::FeatureFolder(folder.file(""), 0).file_of(kKey)) == size);
    checks.holds("there are no notices", one.take_notices().empty() && two.take_notices().empty());
  }
  auto later = open_in(folder.file(""));
  checks.holds("it is there in another run", all_right(later, 0, 200) && find(later, 200) == Found::no);
}

void check_torn(test::Checks& checks) {
  // As if a process was killed between the payload and its entry, or within the payload.
  const test::Folder torn;
  const auto path = cache::FeatureFolder(torn.file(""), 0).file_of(kKey);
  {
    auto file = open_in(torn.file(""));
    for (std::uint64_t i = 0; i < 5; ++i) add(file, i);
  }
  std::filesystem::resize_file(path, static_cast<std::uintmax_t>(kBlock + 5 * kPitch + 777));
  auto file = open_in(torn.file("")), reader = open_in(torn.file(""));
  for (std::uint64_t i = 5; i < 80; ++i) add(file, i);
  checks.holds("an incomplete end is ignored, by the process that adds and by others",
               all_right(file, 0, 80) && all_right(reader, 0, 80) && file.take_notices().empty());
}

void check_damage(test::Checks& checks) {
  const test::Folder folder;
  const auto path = cache::FeatureFolder(folder.file(""), 0).file_of(kKey);
  const auto fill = [&] {
    std::filesystem::remove(path);
    auto file = open_in(folder.file(""));
    for (std::uint64_t i = 0; i < 6; ++i) add(file, i);
  };
  const auto repaired = [&](const std::string& what, std::uint64_t number) {
    {
      auto file = open_in(folder.file(""));
      checks.holds(what + " is found", find(file, number) == Found::no && find(file, 5) != Found::wrong);
      checks.holds(what + " is reported, once", told(file, "damaged") && find(file, number) == Found::no);
      add(file, number);
      checks.holds(what + " is replaced by a new copy", find(file, number) == Found::right);
    }
    auto file = open_in(folder.file(""));
    checks.holds(what + " stays repaired", find(file, number) == Found::right);
  };
  fill();
  flip(path, kBlock + 2 * kPitch + 4321);
  repaired("a flipped bit in a payload", 2);
  fill();
  flip(path, 64 + 3 * 64 + 5);
  repaired("a flipped bit in an entry", 3);
  fill();
  flip(path, 20);
  repaired("a flipped bit in the head", 1);
  fill();
  std::filesystem::resize_file(path, static_cast<std::uintmax_t>(kBlock + 4 * kPitch + 100));
  repaired("a file that was cut off", 4);
  fill();
  std::filesystem::resize_file(path, 10);
  repaired("a file that is nearly empty", 0);
  {
    fill();
    auto open_before = open_in(folder.file(""));
    checks.holds("read while it was intact", find(open_before, 1) == Found::right);
    flip(path, 20);
    auto file = open_in(folder.file(""));
    add(file, 1);
    checks.holds("a process that has the file open keeps it",
                 find(open_before, 1) == Found::right && find(open_before, 3) == Found::right);
  }
}

void check_limits(test::Checks& checks) {
  const test::Folder folder;
  const auto of = [&](const std::string& key) { return cache::FeatureFolder(folder.file(""), 0).file_of(key); };
  const std::int64_t limit = kBlock + 10 * kPitch;
  {
    auto file = open_in(folder.file(""), limit);
    for (std::uint64_t i = 0; i < 20; ++i) add(file, i);
    checks.holds("no more than the limit", all_right(file, 0, 9) && find(file, 19) == Found::no);
    checks.holds("the limit is kept", static_cast<std::int64_t>(std::filesystem::file_size(of(kKey))) <= limit);
    checks.holds("and reported, once", told(file, "limit"));
    auto other = open_in(folder.file(""), limit, kOther);
    add(other, 1);
    checks.holds("a file in use is not removed", find(other, 1) == Found::no && find(file, 3) == Found::right);
  }
  {
    auto other = open_in(folder.file(""), limit, kOther);
    for (std::uint64_t i = 0; i < 9; ++i) add(other, i);
    checks.holds("one that is not in use is", all_right(other, 0, 9) && !std::filesystem::exists(of(kKey)));
    checks.holds("without a notice", other.take_notices().empty());
  }
  for (const auto& [key, age] : {std::pair(kKey, 2), std::pair(kOther, 1)}) {  // the first has not been used for a longer time
    {
      auto file = open_in(folder.file(""), 2 * limit, key);
      for (std::uint64_t i = 0; i < 8; ++i) add(file, i);
    }
    std::filesystem::last_write_time(of(key), std::filesystem::file_time_type::clock::now() - std::chrono::hours(age));
  }
  {
    auto third = open_in(folder.file(""), 2 * limit, std::string(32, 'c'));
    for (std::uint64_t i = 0; i < 8; ++i) add(third, i);
    checks.holds("the oldest is removed first",
                 all_right(third, 0, 8) && !std::filesystem::exists(of(kKey)) && std::filesystem::exists(of(kOther)));
  }
  const auto automatic = cache::FeatureFolder(folder.file(""), -1).limit();
  const auto free = static_cast<std::int64_t>(std::filesystem::space(folder.file("")).available);
  checks.holds("the default is a fifth of the disk and at most 64 GB",
               automatic > 0 && automatic <= 64'000'000'000 && automatic <= free / 5 + (1 << 30));
  const test::Folder memory;
  auto small = open_in(memory.file(""), kPlenty, kKey, 2 * kPitch);
  for (std::uint64_t i = 0; i < 30; ++i) add(small, i);
  checks.holds("with a small limit on memory everything can be read repeatedly",
               all_right(small, 0, 30) && all_right(small, 0, 30));
}

}  // namespace

TEST_PROGRAM(feature_file) {
  test::Checks checks("feature_file");
  check_sharing(checks);
  check_torn(checks);
  check_damage(checks);
  check_limits(checks);
  return checks.finish();
}

}  // namespace cellsam::test::feature_file_program
