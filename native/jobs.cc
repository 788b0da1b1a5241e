#include "jobs.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "io.h"
#include "mapping.h"

namespace lathe {

// Pieces of the output from this size are handed to the disk at once: tiles of about a megabyte.
constexpr int64_t kFlushFrom = 768 * 1024;

// Copies `count` shares that touch each other to places `stride` bytes apart. Most are as long as a register or two.
template <int64_t kShare>
void scatterSharesOf(const uint8_t* from, int64_t count, uint8_t* to, int64_t stride) {
  for (int64_t i = 0; i < count; i++) memcpy(to + i * stride, from + i * kShare, kShare);
}
void scatterShares(const uint8_t* from, int64_t share, int64_t count, uint8_t* to, int64_t stride) {
  switch (share) {
    case 2:
      return scatterSharesOf<2>(from, count, to, stride);
    case 4:
      return scatterSharesOf<4>(from, count, to, stride);
    case 8:
      return scatterSharesOf<8>(from, count, to, stride);
    case 16:
      return scatterSharesOf<16>(from, count, to, stride);
    case 64:
      return scatterSharesOf<64>(from, count, to, stride);
    case 128:
      return scatterSharesOf<128>(from, count, to, stride);
  }
  for (int64_t i = 0; i < count; i++) memcpy(to + i * stride, from + i * share, static_cast<size_t>(share));
}

// One thread's walk through a tile. Every step answers false when the run has to stop.
class Run::Worker {
 public:
  Worker(Run& run, int64_t index, uint8_t* scratch)
      : run_(run),
        program_(run.program_),
        index_(index),
        tile_(program_.tile(static_cast<size_t>(index))),
        job_(program_.jobs[static_cast<size_t>(tile_.job)]),
        free_(scratch) {}

  bool execute() {
    switch (job_.kernel) {
      case KernelId::kCopy:
        return copy();
      case KernelId::kQuantize:
        return job_.columns ? quantizeColumns() : quantizeRows();
      case KernelId::kTieGate:
        return foldTieGate();
      case KernelId::kCompare:
        return foldCompare();
      case KernelId::kCast:
        return cast();
      case KernelId::kMeasureCast:
        return foldMeasureCast();
      case KernelId::kRelayout:
        return relayout();
    }
    return false;
  }

 private:
  uint8_t* slot(int64_t file, int64_t offset) {
    return run_.slots_[static_cast<size_t>(-1 - file)].data() + offset;
  }

  uint8_t* take(int64_t bytes) {
    uint8_t* const place = free_;
    free_ += alignUp(bytes);
    return place;
  }

  bool failed(Stop::Kind kind, int64_t file, const IoResult& result) {
    run_.stopAt({kind, index_, file, result.offset, result.error});
    return false;
  }

  bool read(const TileInput& input, uint8_t* to, int64_t memoryStride) {
    const int fd = program_.inputs[static_cast<size_t>(input.file)];
    const IoResult result =
        readSegments(fd, to, memoryStride, input.segmentBytes, input.segments, input.stride, input.offset);
    if (result.error != 0) return failed(Stop::kRead, input.file, result);
    run_.bytesRead_.fetch_add(input.segmentBytes * input.segments, std::memory_order_relaxed);
    return true;
  }

  bool map(const TileInput& input, MappedWindow& window) {
    const IoResult result =
        window.map(program_.inputs[static_cast<size_t>(input.file)], input.segmentBytes, input.offset);
    if (result.error != 0) return failed(Stop::kRead, input.file, result);
    run_.bytesRead_.fetch_add(input.segmentBytes, std::memory_order_relaxed);
    return true;
  }

  bool write(const TileOutput& output, const uint8_t* from, int64_t byteLength) {
    const int fd = program_.outputs[static_cast<size_t>(output.file)];
    const IoResult result = writeFully(fd, from, byteLength, output.offset);
    if (result.error != 0) return failed(Stop::kWrite, output.file, result);
    run_.bytesWritten_.fetch_add(byteLength, std::memory_order_relaxed);
    return true;
  }

  // Brings an input before the kernel's eyes: in place from a slot, through a window, or into scratch.
  bool fetch(int position, View& view) {
    const TileInput& input = tile_.inputs[position];
    const bool strided = input.segments > 1;
    if (input.file < 0) {
      const uint8_t* const from = slot(input.file, input.offset);
      view = {from, input.stride};
      if (!strided || !needsCompact(job_, position)) return true;
      uint8_t* const to = take(input.segments * input.segmentBytes);
      for (int64_t i = 0; i < input.segments; i++) {
        memcpy(to + i * input.segmentBytes, from + i * input.stride, static_cast<size_t>(input.segmentBytes));
      }
      view = {to, input.segmentBytes};
      return true;
    }
    if (program_.mapped && !strided && input.segmentBytes > 0) {
      if (!map(input, windows_[position])) return false;
      view = {windows_[position].data(), input.segmentBytes};
      return true;
    }
    const int64_t stride = strided ? paddedStride(input.segmentBytes) : input.segmentBytes;
    uint8_t* const to = take(stride * input.segments);
    view = {to, stride};
    return read(input, to, stride);
  }

  // What is flushed in the end anyway goes to the disk while that is idle. Smaller pieces make smaller, slower requests.
  void flushEarly(const TileOutput& output, int64_t byteLength) {
    if (!program_.flushes || byteLength < kFlushFrom) return;
    startFlush(program_.outputs[static_cast<size_t>(output.file)], output.offset, byteLength);
  }

  bool copy() {
    const TileInput& input = tile_.inputs[0];
    const TileOutput& output = tile_.outputs[0];
    if (input.file < 0) return gather();
    if (output.file < 0) return read(input, slot(output.file, output.offset), input.segmentBytes);
    if (program_.mapped && input.segmentBytes > 0) {
      if (!map(input, windows_[0]) || !write(output, windows_[0].data(), input.segmentBytes)) return false;
      flushEarly(output, input.segmentBytes);
      return true;
    }
    for (int64_t done = 0; done < input.segmentBytes; done += kWritePiece) {
      const int64_t length = std::min(kWritePiece, input.segmentBytes - done);
      if (!read({input.file, input.offset + done, length, 1, length}, free_, length)) return false;
      if (!write({output.file, output.offset + done}, free_, length)) return false;
    }
    flushEarly(output, input.segmentBytes);
    return true;
  }

  // Writes what a slot holds in segments of all channels' shares, channel by channel: as many channels at a time as make
  // one piece, which is still in the cache when it is written.
  bool gather() {
    TileOutput output = tile_.outputs[0];
    const int64_t bytes = sharesPerChannel(tile_);
    const int64_t room = std::min(kWritePiece, program_.scratchBytes);
    const int64_t step = bytes == 0 ? tile_.channels : room / bytes;
    for (int64_t first = 0; first < tile_.channels; first += std::max<int64_t>(step, 1)) {
      const int64_t count = step == 0 ? 1 : std::min(step, tile_.channels - first);
      uint8_t* to = free_;
      for (int i = 0; i < tile_.inputCount; i++) {
        const TileInput& input = tile_.inputs[i];
        const int64_t share = input.segmentBytes / tile_.channels;
        const uint8_t* from = slot(input.file, input.offset) + first * share;
        for (int64_t segment = 0; segment < input.segments; segment++, from += input.stride) {
          if (step == 0) {
            if (!write(output, from, share)) return false;
            output.offset += share;
            continue;
          }
          scatterShares(from, share, count, to, bytes);
          to += share;
        }
      }
      if (step == 0) continue;
      if (!write(output, free_, count * bytes)) return false;
      output.offset += count * bytes;
    }
    flushEarly(tile_.outputs[0], tile_.channels * bytes);
    return true;
  }

  QuantizeParams quantizeParams(int64_t elements) const {
    return {job_.method, job_.type, job_.bits, job_.blockSize, job_.symmetric, elements};
  }

  bool finite(ElementIndex hit) {
    if (hit < 0) return true;
    run_.stopAt({Stop::kNonFinite, index_, -1, hit, 0});
    return false;
  }

  bool quantizeRows() {
    View source;
    if (!fetch(0, source)) return false;
    const ChannelStrides strides = channelStrides(job_, tile_.elements);
    const int64_t bytes[3] = {tile_.channels * strides.codes, tile_.channels * strides.scales,
                              tile_.channels * strides.zeroPoints};
    uint8_t* const places[3] = {take(bytes[0]), take(bytes[1]), job_.symmetric ? nullptr : take(bytes[2])};
    const QuantizeOutput out = {places[0], strides.codes, places[1], strides.scales, places[2], strides.zeroPoints};
    if (!finite(quantizeRowsWith(*program_.kernels, quantizeParams(tile_.elements), source.data, tile_.channels, out))) {
      return false;
    }
    for (int i = 0; i < tile_.outputCount; i++) {
      if (!write(tile_.outputs[i], places[i], bytes[i])) return false;
    }
    return true;
  }

  bool quantizeColumns() {
    View source;
    if (!fetch(0, source)) return false;
    const ChannelStrides strides = channelStrides(job_, tile_.elements);
    uint8_t* places[3] = {};
    for (int i = 0; i < tile_.outputCount; i++) places[i] = slot(tile_.outputs[i].file, tile_.outputs[i].offset);
    const QuantizeOutput out = {places[0], strides.codes, places[1], strides.scales, places[2], strides.zeroPoints};
    return finite(quantizeColumnsWith(*program_.kernels, quantizeParams(job_.k), source.data, source.stride,
                                      tile_.elements, tile_.channels, out));
  }

  bool cast() {
    View source;
    if (!fetch(0, source)) return false;
    const int64_t byteLength = tile_.elements * elementSize(job_.target);
    uint8_t* const made = take(byteLength);
    program_.kernels->castFloats({job_.type, job_.target, job_.adjust}, source.data, tile_.elements, made);
    return writeOut(made, byteLength);
  }

  bool relayout() {
    View source;
    if (!fetch(0, source)) return false;
    const RelayoutParams params = {job_.bits, job_.adjust};
    if (job_.transposed) {
      const int64_t before = tile_.firstChannel * columnElements(job_);
      const int64_t columns = std::min(tile_.channels * columnElements(job_), job_.n - before);
      uint8_t* const place = slot(tile_.outputs[0].file, tile_.outputs[0].offset);
      relayoutTransposed(params, source.data, source.stride, tile_.elements, columns, place,
                         packedBytes(job_, tile_.elements));
      return true;
    }
    uint8_t* const made = take(tile_.elements);
    relayoutFlat(params, source.data, tile_.elements, made);
    return writeOut(made, tile_.elements);
  }

  bool writeOut(const uint8_t* made, int64_t byteLength) {
    if (!write(tile_.outputs[0], made, byteLength)) return false;
    flushEarly(tile_.outputs[0], byteLength);
    return true;
  }

  double* foldPlace() { return run_.folds_.data() + static_cast<size_t>(index_) * kFoldFields; }

  bool foldTieGate() {
    View views[4] = {};
    for (int i = 0; i < tile_.inputCount; i++) {
      if (!fetch(i, views[i])) return false;
    }
    const TieGateParams params = {job_.type,      job_.scaleType, job_.bits, job_.blockSize,
                                  tile_.elements, job_.hasZeroPoints};
    const int64_t size = elementSize(job_.type);
    const int64_t channelStride = job_.columns ? size : tile_.elements * size;
    const int64_t elementStride = job_.columns ? views[0].stride : size;
    TieGateResult result = {0, 0, 0, -1};
    tieGate(params, views[0].data, channelStride, elementStride, tile_.channels, 0, views[1].data, views[2].data,
            job_.hasZeroPoints ? views[3].data : nullptr, &result);
    int64_t worst = result.worstIndex;
    if (worst >= 0) {
      const int64_t channel = tile_.firstChannel + worst / tile_.elements;
      worst = channel * job_.k + tile_.firstElement + worst % tile_.elements;
    }
    double* const fold = foldPlace();
    fold[0] = static_cast<double>(result.compared);
    fold[1] = static_cast<double>(result.rejected);
    fold[2] = result.worstSteps;
    fold[3] = static_cast<double>(worst);
    return true;
  }

  bool foldMeasureCast() {
    View source;
    if (!fetch(0, source)) return false;
    CastLoss loss = {0, 0, 0, 0};
    program_.kernels->measureCast({job_.type, job_.target, false}, source.data, tile_.elements, &loss);
    float peak;
    memcpy(&peak, &loss.peak, sizeof peak);
    double* const fold = foldPlace();
    fold[0] = static_cast<double>(loss.overflowed);
    fold[1] = static_cast<double>(loss.zeroed);
    fold[2] = static_cast<double>(loss.subnormal);
    fold[3] = peak;
    return true;
  }

  bool foldCompare() {
    View a, b;
    if (!fetch(0, a) || !fetch(1, b)) return false;
    const int64_t size = job_.elementBytes;
    CompareResult result = {0, 0, -1};
    int64_t first;
    if (job_.transposed) {
      compareBits(job_.elementBytes, a.data, a.stride, size, b.data, size, b.stride, tile_.elements, tile_.channels, 0,
                  &result);
      first = result.firstIndex < 0 ? -1
                                    : (tile_.firstElement + result.firstIndex / tile_.channels) * job_.n +
                                          tile_.firstChannel + result.firstIndex % tile_.channels;
    } else {
      const int64_t count = tile_.channels * tile_.elements;
      compareBits(job_.elementBytes, a.data, count * size, size, b.data, count * size, size, 1, count, 0, &result);
      first = result.firstIndex < 0 ? -1 : tile_.firstElement + result.firstIndex;
    }
    double* const fold = foldPlace();
    fold[0] = static_cast<double>(result.compared);
    fold[1] = static_cast<double>(result.different);
    fold[2] = static_cast<double>(first);
    fold[3] = 0;
    return true;
  }

  Run& run_;
  const Program& program_;
  const int64_t index_;
  const Tile tile_;
  const Job& job_;
  uint8_t* free_;
  MappedWindow windows_[4];
};

Run::Run(Program program) : program_(std::move(program)), done_(program_.tileCount) {}

Run::~Run() {
  cancel();
  join();
}

bool Run::start(int threads, std::function<void()> onFinished) {
  for (const int64_t byteLength : program_.slots) {
    slots_.emplace_back(byteLength);
    if (slots_.back().data() == nullptr) return false;
  }
  // One piece for all threads, large enough for large pages: a strip is a few hundred rows, each on pages of its own.
  const int64_t scratchBytes = alignUp(program_.scratchBytes);
  scratch_.emplace_back(scratchBytes * threads);
  if (scratch_.back().data() == nullptr) return false;
  for (const Job& job : program_.jobs) {
    if (isFold(job.kernel)) {
      folds_.assign(program_.tileCount * kFoldFields, 0);
      break;
    }
  }
  onFinished_ = std::move(onFinished);
  // One count more than there are threads, held here: the last of them must not finish while others start.
  working_ = 1;
  for (int i = 0; i < threads; i++) {
    working_++;
    try {
      threads_.emplace_back(&Run::work, this, scratch_.front().data() + i * scratchBytes);
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
  slots_.clear();
  scratch_.clear();
}

void Run::work(uint8_t* scratch) {
  const int64_t count = static_cast<int64_t>(program_.tileCount);
  while (true) {
    const int64_t index = next_.fetch_add(1);
    if (index >= count || index > stopTile_ || cancelled_) break;
    if (!waitFor(index, static_cast<int64_t>(program_.words[program_.starts[static_cast<size_t>(index)] + 1]))) break;
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
