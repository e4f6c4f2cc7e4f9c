// Checkpoints and state files: round trips of our own readers and writers, checksums against published vectors, atomicity,
// and the errors that people will meet. What real Python makes of the files is tested by weights_python.py.
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <set>

#include "native/program.h"
#include "weights/checkpoint.h"
#include "weights/crc32.h"
#include "weights/file.h"
#include "weights/pth.h"
#include "weights/safetensors.h"
#include "weights_check.h"

// Takes libc's place in this program, so that its children are like the runs of a container: all of one process id.
extern "C" pid_t getpid() noexcept { return 7; }

namespace cellsam::test::weights_program {

using namespace cellsam::weights;
using namespace cellsam::weights::test;

namespace {

void test_sums() {
  check(crc32("123456789") == 0xcbf43926, "the CRC-32 check value of the zip polynomial");
  check(crc32("The quick brown fox jumps over the lazy dog") == 0x414fa339, "CRC-32 of a text longer than a lane");
  // FIPS 180-4 examples, and the million letters of its long message.
  check(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "SHA-256 of abc");
  check(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "SHA-256 of nothing");
  check(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        "SHA-256 of two blocks");
  Sha256 pieces;
  const std::string letters(1'000'000, 'a');
  for (std::size_t at = 0, step = 1; at < letters.size(); at += step, step = step % 150 + 1) {
    pieces.update(letters.data() + at, std::min(step, letters.size() - at));
  }
  check(pieces.hex() == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
        "SHA-256 of a million letters in pieces");
}

void test_pth(const Scratch& scratch) {
  for (const auto& map : {every_dtype(), toy_cellsam(false), toy_cellsam(true), toy_sam()}) {
    const auto written = write_pth(scratch / "a.pth", map);
    const auto again = read_checkpoint(scratch / "a.pth");
    check(same_bits(map, again), "a .pth comes back bit by bit");
    check(written.sha256 == sha256_hex(slurp(scratch / "a.pth")), "sha256 of the file");
    check(written.bytes == static_cast<std::int64_t>(slurp(scratch / "a.pth").size()), "size of the file");
    write_pth(scratch / "b.pth", again);
    check(slurp(scratch / "a.pth") == slurp(scratch / "b.pth"), "what was read writes the same file");
  }
  write_pth(scratch / "t.pth", every_dtype());
  const auto map = read_pth(scratch / "t.pth");
  check(map[map.size() - 1].second.const_data_ptr() == map[map.size() - 3].second.const_data_ptr(),
        "names of one tensor share a storage");
  for (const auto& [name, tensor] : map) check(tensor.is_contiguous(), name + " is contiguous");
  map.back().second.fill_(1);  // writing into what was read must not reach the file
  check(same_bits(read_pth(scratch / "t.pth"), every_dtype()), "the file does not follow its tensors");
}

void test_safetensors(const Scratch& scratch) {
  const Metadata metadata{
      {"plain", "text"}, {"odd", "quote \" slash \\ line\n tab\t \x01 \xc3\xa9 \xf0\x9f\x94\xac"}, {"", ""}};
  write_safetensors(scratch / "a.safetensors", every_dtype(), metadata);
  const auto file = read_safetensors(scratch / "a.safetensors");
  check(file.checked && file.metadata == metadata, "metadata comes back");
  check(same_bits(file.tensors, every_dtype()), "a .safetensors comes back bit by bit");
  check(same_bits(read_checkpoint(scratch / "a.safetensors"), every_dtype()), "it is recognised by its content");

  const auto with = [&](const std::string& json, const std::string& data) {
    std::string bytes(8, '\0');
    for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(json.size() >> (8 * i));
    spit(scratch / "h.safetensors", bytes + json + data);
    return code_of([&] { read_safetensors(scratch / "h.safetensors"); });
  };
  const std::string eight(8, 'x');
  const std::string good = R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  check(with("{" + good + "}", eight).empty(), "a header by hand");
  check(with(R"({"__metadata__":{"k":"\u00e9\ud83d\ude00"}, )" + good + " }  ", eight).empty() &&
            read_safetensors(scratch / "h.safetensors").metadata.at("k") == "\xc3\xa9\xf0\x9f\x98\x80",
        "escapes in metadata");
  for (const std::string& bad :
       {"{" + good + "," + good + "}",
        std::string(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})"),
        std::string(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,12]}})"),
        std::string(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})"),
        std::string(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})"),
        std::string(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})"),
        std::string(
            R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})"),
        std::string(R"({"a":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}})"),
        std::string(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})"),
        std::string(R"({"a":{"dtype":"F32","shape":[4611686018427387904,2,2],"data_offsets":[0,8]}})"),
        std::string(R"({"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,8]}})"),
        std::string(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"more":1}})"),
        std::string(R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})"),
        std::string(R"({"a":{"dtype":"F32","shape":[2]}})"),
        std::string(R"({"a":[1]})"),
        std::string("{"),
        std::string("{}"),
        "{" + good + "}}",
        "{" + good,
        "[" + good + "]",
        std::string(R"({"a":{"dtype":"BOOL","shape":[8],"data_offsets":[0,8]}})"),
        std::string(R"({"\ud800":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})")}) {
    check(with(bad, eight) == "ERR_CHECKPOINT_CORRUPT", "refused: " + bad);
  }
  check(with(std::string(200'000, '['), eight) == "ERR_CHECKPOINT_CORRUPT", "deep nesting is no recursion");
}

void test_state(const Scratch& scratch) {
  const std::map<std::string, std::string> values{{"epoch", "12"}, {"lr", "0.1"}, {"config", "{\"a\": 1}"}};
  write_state(scratch / "s", every_dtype(), values);
  const auto state = read_state(scratch / "s");
  check(state.values == values && same_bits(state.tensors, every_dtype()), "a state comes back");
  write_safetensors(scratch / "w", toy_sam());
  check(code_of([&] { read_state(scratch / "w"); }) == "ERR_CHECKPOINT_FORMAT", "weights are no state");
  auto bytes = slurp(scratch / "s");
  bytes[bytes.find("cellsam.sha256")] = 'C';
  spit(scratch / "s", bytes);
  check(code_of([&] { read_state(scratch / "s"); }) == "ERR_CHECKPOINT_CORRUPT", "a state without its checksum");
}

void test_errors(const Scratch& scratch) {
  std::string message;
  check(code_of([&] { read_checkpoint(scratch / "absent.pth"); }) == "ERR_CHECKPOINT_READ", "no such file");
  check(code_of([&] { read_pth(scratch.path().string()); }) == "ERR_CHECKPOINT_READ", "a folder");
  ::mkfifo((scratch / "pipe").c_str(), 0600);
  check(code_of([&] { read_checkpoint(scratch / "pipe"); }) == "ERR_CHECKPOINT_READ", "a pipe does not block");
  check(code_of([&] { read_pth(scratch / "pipe"); }) == "ERR_CHECKPOINT_READ", "a pipe does not block read_pth");
  spit(scratch / "empty", "");
  check(code_of([&] { read_checkpoint(scratch / "empty"); }) == "ERR_CHECKPOINT_FORMAT", "an empty file");
  spit(scratch / "old.pth", std::string("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.", 22));
  check(code_of([&] { read_checkpoint(scratch / "old.pth"); }, &message) == "ERR_CHECKPOINT_FORMAT", "the old .pth");
  check(message.find("torch 1.6") != message.npos && message.find("old.pth") != message.npos,
        "it says how to re-save: " + message);
  const auto w = at::ones({2});
  check(code_of([&] { write_pth(scratch / "x", {{"a", w}, {"a", w}}); }) == "ERR_INVALID_ARGUMENT", "a name twice");
  check(code_of([&] {
          write_pth(scratch / "x", {{"a", w.to(at::kComplexFloat)}});
        }) == "ERR_INVALID_ARGUMENT",
        "a complex tensor");
  check(code_of([&] { write_safetensors(scratch / "x", {{"__metadata__", w}}); }) == "ERR_INVALID_ARGUMENT", "a reserved name");
  check(code_of([&] { write_pth(scratch / "no/such/folder/x", {{"a", w}}); }) == "ERR_CHECKPOINT_WRITE", "no such folder");
}

// A write that fails half way leaves the old file and no litter. A limit on file size stands for the full disk.
void test_atomic(const Scratch& scratch) {
  const std::filesystem::path folder = scratch / "atomic";
  std::filesystem::create_directory(folder);
  const auto path = (folder / "a.pth").string();
  write_pth(path, toy_sam());
  const auto before = slurp(path);
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit usual{};
  ::getrlimit(RLIMIT_FSIZE, &usual);
  const rlimit tight{100'000, usual.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &tight);
  const TensorMap large{{"a", at::ones({20'000})}, {"b", at::ones({20'000})}};
  check(code_of([&] { write_pth(path, large); }) == "ERR_CHECKPOINT_WRITE", "a full disk under write_pth");
  check(code_of([&] { write_safetensors(path, large); }) == "ERR_CHECKPOINT_WRITE", "a full disk under write_safetensors");
  ::setrlimit(RLIMIT_FSIZE, &usual);
  check(slurp(path) == before, "the old file is still there");
  const auto files = std::distance(std::filesystem::directory_iterator(folder), {});
  check(files == 1, "no temporary file is left");

  // Both children have the process id 7, as in a container the run that was killed and the one that resumes it.
  std::set<std::string> names;
  for (int i = 0; i < 2; ++i) {
    const auto child = ::fork();
    if (child == 0) {
      const CheckpointFile file(path);
      ::_exit(0);  // as kill -9 would: nobody tidies up
    }
    ::waitpid(child, nullptr, 0);
    for (const auto& entry : std::filesystem::directory_iterator(folder)) names.insert(entry.path().filename());
  }
  check(names.size() == 3, "what killed runs leave behind is in nobody's way");
}

// Only with an argument: how long a checkpoint of the real size takes.
void measure(const Scratch& scratch) {
  const TensorMap large{{"a", at::randn({47'000'000})}, {"b", at::randn({47'000'000})}};
  const auto seconds = [](auto run) {
    const auto begin = std::chrono::steady_clock::now();
    run();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  std::printf("376 MB: write_pth %.2f s", seconds([&] { write_pth(scratch / "l.pth", large); }));
  std::printf(", read_pth %.2f s", seconds([&] { read_pth(scratch / "l.pth"); }));
  std::printf(", write_state %.2f s", seconds([&] { write_state(scratch / "l.st", large, {}); }));
  std::printf(", read_state %.2f s\n", seconds([&] { read_state(scratch / "l.st"); }));
}

}  // namespace

TEST_PROGRAM(weights) {
  const Scratch scratch;
  if (argc > 1) {
    measure(scratch);
    return 0;
  }
  test_sums();
  test_pth(scratch);
  test_safetensors(scratch);
  test_state(scratch);
  test_errors(scratch);
  test_atomic(scratch);
  return finished("weights");
}

}  // namespace cellsam::test::weights_program
