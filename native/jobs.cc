#include "jobs.h"

#include <algorithm>
#include <cstdlib>
#include <system_error>

#include "tile-worker.h"

namespace lathe {

Run::Run(Program program)
    : program_(std::move(program)), writing_(program_.outputs.size()), done_(program_.tileCount) {}

Run::~Run() {
  cancel();
  join();
}

bool Run::start(int threads, std::function<void()> onFinished) {
  memory_.emplace_back(program_.ringBytes);
  ring_ = memory_.back().data();
  if (ring_ == nullptr) return false;
  // One piece for all threads, large enough for large pages: a strip is a few hundred rows, each on pages of its own.
  const int64_t scratchBytes = alignUp(program_.scratchBytes);
  memory_.emplace_back(scratchBytes * threads);
  uint8_t* const scratch = memory_.back().data();
  if (scratch == nullptr) return false;
  for (const Job& job : program_.jobs) {
    if (isFold(job.kernel)) {
      folds_.assign(program_.tileCount * kFoldFields, 0);
      break;
    }
  }
  for (const Job& job : program_.jobs) {
    if (job.measured) {
      errors_.resize(program_.jobs.size());
      break;
    }
  }
  onFinished_ = std::move(onFinished);
  // One count more than there are threads, held here: the last of them must not finish while others start.
  working_ = 1;
  for (int i = 0; i < threads; i++) {
    working_++;
    try {
      threads_.emplace_back(&Run::work, this, scratch + i * scratchBytes);
    } catch (const std::system_error&) {
      working_--;  // fewer threads do the same work
    }
  }
  const bool started = !threads_.empty();
  if (--working_ == 0 && started) onFinished_();
  return started;
}

void Run::cancel() {
  const std::lock_guard<std::mutex> lock(mutex_);
  cancelled_ = true;
  progressed_.notify_all();
}

void Run::join() {
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
  // JavaScript may hold the run long after its end.
  memory_.clear();
}

void Run::work(uint8_t* scratch) {
  const int64_t count = static_cast<int64_t>(program_.tileCount);
  while (true) {
    const int64_t index = next_.fetch_add(1);
    if (index >= count || index > stopTile_ || cancelled_) break;
    if (!waitFor(index, program_.after(static_cast<size_t>(index)))) break;
    if (Worker(*this, index, scratch).execute()) complete(index);
  }
  if (--working_ == 0) onFinished_();
}

// Every tile below the one that stopped the run still runs: the stop with the lowest tile is then the same for any
// number of threads.
bool Run::waitFor(int64_t index, int64_t after) {
  if (after == 0) return true;
  std::unique_lock<std::mutex> lock(mutex_);
  progressed_.wait(lock, [&] { return prefix_ >= after || cancelled_ || stopTile_ < index; });
  return prefix_ >= after && !cancelled_;
}

void Run::complete(int64_t index) {
  const std::lock_guard<std::mutex> lock(mutex_);
  done_[static_cast<size_t>(index)] = true;
  if (index != prefix_) return;
  while (prefix_ < static_cast<int64_t>(done_.size()) && done_[static_cast<size_t>(prefix_)]) prefix_++;
  progressed_.notify_all();
}

void Run::stopAt(const Stop& stop) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (stop.tile >= stopTile_) return;
  stop_ = stop;
  stopTile_ = stop.tile;
  progressed_.notify_all();
}

}  // namespace lathe
