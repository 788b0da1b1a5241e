// What is done with one tile, by kernel: bytes are brought to it, and written or folded. Part of jobs.cc.
#pragma once

#include <algorithm>
#include <cstring>
#include <mutex>

#include "io.h"
#include "jobs.h"
#include "mapping.h"
#include "scatter-shares.h"

namespace lathe {

// Pieces of the output from this size are handed to the disk at once: tiles of about a megabyte.
constexpr int64_t kFlushFrom = 768 * 1024;

// Columns that are quantized and then measured together: 64 KB of 128 rows.
constexpr int64_t kMeasuredColumns = 256;

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
    for (int64_t done = 0; done < byteLength; done += kWritePiece) {
      const int64_t piece = std::min(kWritePiece, byteLength - done);
      const std::lock_guard<std::mutex> turn(run_.writing_[static_cast<size_t>(output.file)]);
      const IoResult result = writeFully(fd, from + done, piece, output.offset + done);
      if (result.error != 0) return failed(Stop::kWrite, output.file, result);
    }
    run_.bytesWritten_.fetch_add(byteLength, std::memory_order_relaxed);
    return true;
  }

  // Brings an input before the kernel's eyes: in place in the ring, through a window, or into scratch.
  bool fetch(int position, View& view) {
    const TileInput& input = tile_.inputs[position];
    const bool strided = input.segments > 1;
    if (input.file < 0) {
      const uint8_t* const from = run_.ring_ + input.offset;
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
    if (output.file < 0) return read(input, run_.ring_ + output.offset, input.segmentBytes);
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

  // Writes what the ring holds in segments of all channels' shares, channel by channel: as many channels at a time as make
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
        const uint8_t* from = run_.ring_ + input.offset + first * share;
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
    if (job_.measured) {
      ErrorSum sum;
      const ErrorPlace place = {tile_.firstChannel * job_.k + tile_.firstElement, job_.k};
      program_.kernels->measureRows(quantizeParams(tile_.elements), source.data, tile_.channels, out, place, &sum);
      addError(sum);
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
    for (int i = 0; i < tile_.outputCount; i++) places[i] = run_.ring_ + tile_.outputs[i].offset;
    const QuantizeOutput out = {places[0], strides.codes, places[1], strides.scales, places[2], strides.zeroPoints};
    const QuantizeParams params = quantizeParams(job_.k);
    if (job_.measured) return measureColumns(params, source, out);
    return finite(quantizeColumnsWith(*program_.kernels, params, source.data, source.stride, tile_.elements,
                                      tile_.channels, out));
  }

  // A part of a strip at a time: what was made of its channels lies far apart, and would have left the cache.
  bool measureColumns(const QuantizeParams& params, const View& source, const QuantizeOutput& out) {
    ErrorSum sum;
    ElementIndex hit = -1;
    for (int64_t first = 0; first < tile_.channels; first += kMeasuredColumns) {
      const int64_t channels = std::min(kMeasuredColumns, tile_.channels - first);
      const uint8_t* const from = source.data + first * elementSize(job_.type);
      const QuantizeOutput part = {out.codes + first * out.codesStride,
                                   out.codesStride,
                                   out.scales + first * out.scalesStride,
                                   out.scalesStride,
                                   out.zeroPoints == nullptr ? nullptr : out.zeroPoints + first * out.zeroPointsStride,
                                   out.zeroPointsStride};
      const ElementIndex found =
          quantizeColumnsWith(*program_.kernels, params, from, source.stride, tile_.elements, channels, part);
      if (found >= 0) {
        const ElementIndex index = found / channels * tile_.channels + first + found % channels;
        hit = hit < 0 ? index : std::min(hit, index);
      }
      if (hit >= 0) continue;
      const ErrorPlace place = {(tile_.firstChannel + first) * job_.k + tile_.firstElement, job_.k};
      program_.kernels->measureColumns(params, from, source.stride, tile_.elements, channels, part, place, &sum);
    }
    addError(sum);
    return finite(hit);
  }

  void addError(const ErrorSum& sum) {
    const std::lock_guard<std::mutex> lock(run_.mutex_);
    run_.errors_[static_cast<size_t>(tile_.job)].add(sum);
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
      uint8_t* const place = run_.ring_ + tile_.outputs[0].offset;
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

}  // namespace lathe
