#include "fake_cuda/graphs.h"

#include <c10/util/Exception.h>

#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "fake_cuda/memory.h"
#include "fake_cuda/report.h"

namespace fake_cuda {
namespace {

struct Node {
  Work work;
  std::vector<std::pair<char*, std::uint64_t>> blocks;  // those it uses, with their serial numbers
  std::function<void()> body;
};

struct Graph {
  GraphNumber number = 0;
  Stream stream;
  Pool pool = 0;
  bool recording = true, failed = false;
  std::vector<Node> nodes;
  std::map<char*, std::vector<char>> before;  // bytes of blocks that the recording overwrote
};

std::map<GraphNumber, std::unique_ptr<Graph>>& graphs() {
  static auto& all = *new std::map<GraphNumber, std::unique_ptr<Graph>>;
  return all;
}

std::array<Graph*, kStreams> recorders{};
std::multiset<Pool> failed_pools;

Graph*& recorder_on(const Stream& stream) { return recorders[static_cast<std::size_t>(stream.number())]; }

void stop(Graph& graph) {
  recorder_on(graph.stream) = nullptr;
  graph.recording = false;
  for (const auto& [begin, bytes] : graph.before) std::memcpy(shadow(begin), bytes.data(), bytes.size());
  graph.before.clear();
  poison_pool(graph.pool);
}

}  // namespace

Pool new_pool() {
  const Locked lock(state());
  static Pool last = 0;
  return ++last;
}

GraphNumber begin_graph(const Stream& stream, Pool pool) {
  const Locked lock(state());
  TORCH_CHECK(stream.id != 0, "CUDA graphs must be captured on a non-default stream.");
  TORCH_CHECK(recorder_on(stream) == nullptr, "CUDA error: the stream is recording already");
  static GraphNumber last = 0;
  auto graph = std::make_unique<Graph>();
  graph->number = ++last;
  graph->stream = stream;
  graph->pool = pool;
  recorder_on(stream) = graph.get();
  graphs()[last] = std::move(graph);
  return last;
}

void end_graph(GraphNumber number, const Stream& current) {
  const Locked lock(state());
  auto& graph = *graphs().at(number);
  const bool here = current.number() == graph.stream.number();
  stop(graph);
  if (graph.failed) {
    failed_pools.insert(graph.pool);
    throw c10::AcceleratorError({__func__, __FILE__, static_cast<std::uint32_t>(__LINE__)}, 901,
                                "CUDA error: operation failed due to a previous error during capture");
  }
  TORCH_CHECK(here, "Capture must end on the same stream it began on.");
}

void replay_graph(GraphNumber number, const Stream& stream) {
  Graph* graph = nullptr;
  {
    const Locked lock(state());
    graph = graphs().at(number).get();
    TORCH_CHECK(!graph->recording && !graph->failed, "CUDA error: the graph has not been recorded");
    TORCH_CHECK(stream.device == graph->stream.device, "CUDA error: the graph is of another device");
    poison_pool(graph->pool);  // graphs that share it leave nothing to each other, nor to themselves
    Work all{"graph replay", stream, {}, {}};
    for (const auto& node : graph->nodes) {
      for (const auto& [begin, serial] : node.blocks) {
        const auto* block = block_at(begin);
        if (block == nullptr || block->serial != serial) hazard("a graph's " + node.work.name + " uses memory that was freed");
      }
      all.reads.insert(all.reads.end(), node.work.reads.begin(), node.work.reads.end());
      all.writes.insert(all.writes.end(), node.work.writes.begin(), node.work.writes.end());
    }
    order(all);
    count_launch(all.name);
    count(&Counts::replays);
  }
  for (const auto& node : graph->nodes) run_on_host(node.body);
}

void close_graph(GraphNumber number) {
  const Locked lock(state());
  const auto it = graphs().find(number);
  if (it == graphs().end()) return;
  const auto graph = std::move(it->second);
  if (graph->recording) stop(*graph);
  graphs().erase(it);
  for (const auto& [other, living] : graphs())
    if (living->pool == graph->pool) return;
  release_pool(graph->pool);
}

Pool pool_of_graph(GraphNumber number) {
  const Locked lock(state());
  return graphs().at(number)->pool;
}

bool is_recording(const Stream& stream) {
  const Locked lock(state());
  return recorder_on(stream) != nullptr;
}

GraphNumber graph_on(const Stream& stream) {
  const Locked lock(state());
  const auto* graph = recorder_on(stream);
  return graph == nullptr ? 0 : graph->number;
}

Pool recording_pool(const Stream& stream) {
  const Locked lock(state());
  const auto* graph = recorder_on(stream);
  return graph == nullptr ? 0 : graph->pool;
}

void save_before_writing(const Work& work) {
  const Locked lock(state());
  auto* graph = recorder_on(work.stream);
  if (graph == nullptr) return;
  for (const auto* address : work.writes) {
    const auto* block = block_at(address);
    if (block == nullptr || block->pool == graph->pool || graph->before.count(block->begin) > 0) continue;
    const auto* bytes = shadow(block->begin);
    graph->before[block->begin] = std::vector<char>(bytes, bytes + block->size);
  }
}

void record(const Work& work, std::function<void()> body) {
  const Locked lock(state());
  auto* graph = recorder_on(work.stream);
  if (graph == nullptr) return;
  Node node{work, {}, std::move(body)};
  for (const auto* addresses : {&work.reads, &work.writes})
    for (const auto* address : *addresses)
      if (const auto* block = block_at(address)) node.blocks.emplace_back(block->begin, block->serial);
  graph->nodes.push_back(std::move(node));
}

void forget_failed_recording(Pool pool) {
  const Locked lock(state());
  const auto found = failed_pools.find(pool);
  TORCH_CHECK(found != failed_pools.end(), "endAllocatePool: not currently recording to mempool_id");
  failed_pools.erase(found);
}

bool believes_in_failed_recording() {
  const Locked lock(state());
  return !failed_pools.empty();
}

void refuse_to_record(const Stream& stream, const std::string& what) {
  const Locked lock(state());
  if (auto* graph = recorder_on(stream)) graph->failed = true;
  throw c10::AcceleratorError({__func__, __FILE__, static_cast<std::uint32_t>(__LINE__)}, 900,
                              "CUDA error: operation not permitted when stream is capturing (" + what + ")");
}

}  // namespace fake_cuda
