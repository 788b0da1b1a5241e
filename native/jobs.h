// Runs a program: its tiles are taken in order by a few threads. Each tile reads its inputs, puts them through a
// kernel and writes or folds the result.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "program.h"
#include "working-memory.h"

namespace lathe {

// What stopped a run early. Of several, the one with the lowest tile, whatever the number of threads.
struct Stop {
  enum Kind { kNone, kNonFinite, kRead, kWrite } kind = kNone;
  int64_t tile = -1;
  int64_t file = -1;    // entry of inputs or outputs
  int64_t offset = -1;  // in that file; for kNonFinite the index in source order within the tile
  int error = 0;        // errno or kEndOfFile
};

// Folds leave four numbers per tile: compared, rejected, worstSteps, worstIndex of the tie gate; compared, different,
// firstIndex, 0 of the comparison; overflowed, zeroed, subnormal, peak of a cast. Indices count over the whole tensor.
constexpr size_t kFoldFields = 4;

class Run {
 public:
  explicit Run(Program program);
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  // Starts the threads; `onFinished` is called once, by the last of them. False when memory or threads ran out.
  bool start(int threads, std::function<void()> onFinished);
  void cancel();
  // Waits for the threads and gives the working memory back.
  void join();

  int64_t bytesDone() const { return bytesRead_.load(std::memory_order_relaxed); }
  int64_t bytesWritten() const { return bytesWritten_.load(std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(); }
  const Stop& stop() const { return stop_; }
  const std::vector<double>& folds() const { return folds_; }
  // By job; empty when nothing is measured.
  const std::vector<ErrorSum>& errors() const { return errors_; }

 private:
  // A tile input as the kernels see it: rows `stride` bytes apart.
  struct View {
    const uint8_t* data;
    int64_t stride;
  };
  class Worker;

  void work(uint8_t* scratch);
  bool waitFor(int64_t index, int64_t after);
  void complete(int64_t index);
  void stopAt(const Stop& stop);

  const Program program_;
  std::vector<WorkingMemory> memory_;
  uint8_t* ring_ = nullptr;
  // By output. The system lets one thread at a time write to a file; those that wait in it take a processor for that.
  std::vector<std::mutex> writing_;
  std::vector<std::thread> threads_;
  std::vector<double> folds_;
  std::function<void()> onFinished_;
  std::atomic<int> working_{0};

  std::atomic<int64_t> next_{0};
  std::atomic<int64_t> stopTile_{INT64_MAX};
  std::atomic<bool> cancelled_{false};
  std::atomic<int64_t> bytesRead_{0};
  std::atomic<int64_t> bytesWritten_{0};

  std::mutex mutex_;  // guards the four below
  std::vector<ErrorSum> errors_;
  std::condition_variable progressed_;
  std::vector<bool> done_;
  int64_t prefix_ = 0;  // tiles [0, prefix_) are complete
  Stop stop_;
};

}  // namespace lathe
