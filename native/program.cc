#include "program.h"

#include <algorithm>

#include "io.h"

namespace lathe {

namespace {

// Scratch bytes of one input: nothing for the ring, which can be used where it lies.
int64_t inputScratch(const Job& job, const TileInput& input, int position) {
  const bool strided = input.segments > 1;
  if (input.file < 0) return strided && needsCompact(job, position) ? alignUp(input.segments * input.segmentBytes) : 0;
  return alignUp(input.segments * (strided ? paddedStride(input.segmentBytes) : input.segmentBytes));
}

int64_t scratchNeeded(const Job& job, const Tile& tile) {
  if (job.kernel == KernelId::kCopy) {
    // A copy from the ring makes do with what there is.
    const bool buffered = tile.inputs[0].file >= 0 && tile.outputs[0].file >= 0;
    return buffered ? std::min(kWritePiece, tile.inputs[0].segmentBytes) : 0;
  }
  int64_t bytes = 0;
  for (int i = 0; i < tile.inputCount; i++) bytes += inputScratch(job, tile.inputs[i], i);
  if (job.kernel == KernelId::kQuantize && !job.columns) {
    const ChannelStrides strides = channelStrides(job, tile.elements);
    bytes += alignUp(tile.channels * strides.codes) + alignUp(tile.channels * strides.scales) +
             alignUp(tile.channels * strides.zeroPoints);
  }
  if (job.kernel == KernelId::kCast) bytes += alignUp(tile.elements * elementSize(job.target));
  if (job.kernel == KernelId::kRelayout && !job.transposed) bytes += alignUp(tile.elements);
  return bytes;
}

}  // namespace

int64_t elementSize(FloatType type) { return type == FloatType::kFloat32 ? 4 : 2; }

ChannelStrides channelStrides(const Job& job, int64_t elements) {
  const int64_t blocks = (elements + job.blockSize - 1) / job.blockSize;
  const FloatType scaleType = job.kernel == KernelId::kTieGate ? job.scaleType : job.type;
  const bool zeroPoints = job.kernel == KernelId::kTieGate ? job.hasZeroPoints : !job.symmetric;
  const bool ends = job.kernel == KernelId::kQuantize && job.method == QuantizeMethod::kOliveGather;
  const int64_t codes = ends ? (elements * job.bits + 7) / 8 : blocks * (job.blockSize * job.bits / 8);
  return {codes, blocks * elementSize(scaleType),
          zeroPoints ? (blocks * job.bits + 7) / 8 : 0};
}

int64_t sharesPerChannel(const Tile& tile) {
  int64_t bytes = 0;
  for (int i = 0; i < tile.inputCount; i++) {
    bytes += tile.inputs[i].segmentBytes / tile.channels * tile.inputs[i].segments;
  }
  return bytes;
}

namespace {

// Numbers of a tile that begins with this header.
size_t tileLength(const double* header) {
  return Program::kHeader + static_cast<size_t>(header[Program::kHeader - 2]) * 5 +
         static_cast<size_t>(header[Program::kHeader - 1]) * 2;
}

}  // namespace

Tile Program::tile(size_t index) const {
  const uint32_t* const place = tiles + index * kTileNumbers;
  const double* word = words + starts[place[0]];
  const double step = place[1];
  Tile tile;
  tile.inputCount = static_cast<int>(word[kHeader - 2]);
  tile.outputCount = static_cast<int>(word[kHeader - 1]);
  const size_t length = tileLength(word);
  const auto next = [&word, length, step] {
    const double first = *word, second = word[length];
    word++;
    return static_cast<int64_t>(first + step * (second - first));
  };
  tile.job = next();
  tile.after = after(index);
  tile.firstChannel = next();
  tile.channels = next();
  tile.firstElement = next();
  tile.elements = next();
  word += 2;
  for (int i = 0; i < tile.inputCount && i < 4; i++) {
    tile.inputs[i] = {next(), next(), next(), next(), next()};
  }
  for (int i = 0; i < tile.outputCount && i < 3; i++) tile.outputs[i] = {next(), next()};
  return tile;
}

const char* jobDefect(const Job& job) {
  constexpr int64_t kLargest = int64_t{1} << 40;
  const auto isFloat = [](FloatType type) {
    return type == FloatType::kFloat32 || type == FloatType::kFloat16 || type == FloatType::kBFloat16;
  };
  if (job.n < 0 || job.n > kLargest || job.k < 0 || job.k > kLargest) return "job extent";
  switch (job.kernel) {
    case KernelId::kCopy:
      return nullptr;
    case KernelId::kCast:
    case KernelId::kMeasureCast:
      return isFloat(job.type) && isFloat(job.target) ? nullptr : "job type";
    case KernelId::kRelayout: {
      const uint32_t bits = job.bits;
      return bits == 2 || bits == 4 || bits == 8 || bits == 16 || bits == 32 ? nullptr : "job element";
    }
    case KernelId::kQuantize:
    case KernelId::kTieGate: {
      const bool power = (job.blockSize & (job.blockSize - 1)) == 0;
      if (!isFloat(job.type) || (job.bits != 2 && job.bits != 4 && job.bits != 8)) return "job type";
      if (job.method > QuantizeMethod::kOliveInt8) return "job method";
      if (job.method >= QuantizeMethod::kOliveRtn && job.bits == 2) return "job bits";
      if (!power || job.blockSize < 16 || job.blockSize > 256) return "job block size";
      return job.kernel == KernelId::kTieGate && !isFloat(job.scaleType) ? "job type" : nullptr;
    }
    case KernelId::kCompare: {
      const uint32_t size = job.elementBytes;
      return size == 1 || size == 2 || size == 4 || size == 8 ? nullptr : "job element";
    }
  }
  return "job kernel";
}

const char* Program::seriesDefect() const {
  for (size_t series = 0; series < seriesCount; series++) {
    if (starts[series] + kHeader > wordCount) return "start";
    const double* const header = words + starts[series];
    const double inputCount = header[kHeader - 2], outputCount = header[kHeader - 1];
    if (!(inputCount >= 1 && inputCount <= 4 && outputCount >= 0 && outputCount <= 3)) return "counts";
    if (starts[series] + 2 * tileLength(header) > wordCount) return "length";
  }
  for (size_t index = 0; index < tileCount; index++) {
    const uint32_t* const place = tiles + index * kTileNumbers;
    if (place[0] >= seriesCount) return "series";
    const double* const first = words + starts[place[0]];
    const size_t length = tileLength(first);
    for (size_t i = 0; i < length; i++) {
      const double number = first[i] + place[1] * (first[i + length] - first[i]);
      if (!(number >= -65536 && number <= 9007199254740991.0)) return "number";
    }
  }
  return nullptr;
}

const char* Program::defect() const {
  constexpr double kLargestTile = 1e12;  // keeps the products below from overflowing
  for (const Job& job : jobs) {
    if (const char* const defect = jobDefect(job)) return defect;
  }
  const auto inRing = [this](int64_t offset, int64_t length) {
    return offset >= 0 && length >= 0 && offset <= ringBytes - length;
  };
  if (const char* const defect = seriesDefect()) return defect;
  for (size_t index = 0; index < tileCount; index++) {
    const Tile tile = this->tile(index);
    if (tile.job < 0 || static_cast<size_t>(tile.job) >= jobs.size()) return "job";
    const Job& job = jobs[static_cast<size_t>(tile.job)];
    if (tile.after < 0 || tile.after > static_cast<int64_t>(index)) return "after";
    if (tile.channels < 0 || tile.elements < 0) return "extent";
    if (static_cast<double>(tile.channels) * static_cast<double>(tile.elements) > kLargestTile) return "extent";
    for (int i = 0; i < tile.inputCount; i++) {
      const TileInput& input = tile.inputs[i];
      if (input.offset < 0 || input.segments < 1 || input.segmentBytes < 0 || input.stride < 0) return "input";
      if (input.file >= static_cast<int64_t>(inputs.size())) return "input file";
      const double extent = static_cast<double>(input.segments) * static_cast<double>(input.stride + input.segmentBytes);
      if (extent > 4e15) return "input";
      const int64_t reach = (input.segments - 1) * input.stride + input.segmentBytes;
      if (input.file < kRing) return "input file";
      if (input.file == kRing && !inRing(input.offset, reach)) return "input ring";
    }
    for (int i = 0; i < tile.outputCount; i++) {
      const TileOutput& output = tile.outputs[i];
      if (output.offset < 0 || output.file < kRing || output.file >= static_cast<int64_t>(outputs.size())) return "output";
    }
    if (scratchNeeded(job, tile) > scratchBytes) return "scratch";

    const auto carries = [&tile](int input, int64_t segments, int64_t segmentBytes) {
      return tile.inputs[input].segments == segments && tile.inputs[input].segmentBytes == segmentBytes;
    };
    const bool single = tile.inputs[0].segments == 1;
    switch (job.kernel) {
      case KernelId::kCopy: {
        if (tile.outputCount != 1) return "copy";
        if (tile.inputs[0].file < 0) {
          if (tile.outputs[0].file < 0 || tile.channels < 1) return "gather";
          for (int i = 0; i < tile.inputCount; i++) {
            const TileInput& input = tile.inputs[i];
            if (input.file >= 0 || input.segmentBytes % tile.channels != 0) return "gather";
          }
          break;
        }
        if (tile.inputCount != 1 || !single) return "copy";
        const bool toRing = tile.outputs[0].file < 0;
        if (toRing && !inRing(tile.outputs[0].offset, tile.inputs[0].segmentBytes)) return "ring";
        break;
      }
      case KernelId::kQuantize: {
        // Rows that are only measured are written nowhere.
        const bool dropped = job.measured && !job.columns && tile.outputCount == 0;
        if (tile.inputCount != 1 || (!dropped && tile.outputCount != (job.symmetric ? 2 : 3))) return "quantize";
        const int64_t size = elementSize(job.type);
        if (!job.columns) {
          if (!carries(0, 1, tile.channels * tile.elements * size)) return "quantize rows";
          for (int i = 0; i < tile.outputCount; i++) {
            if (tile.outputs[i].file < 0) return "quantize rows";
          }
          break;
        }
        if (!carries(0, tile.elements, tile.channels * size)) return "quantize columns";
        const ChannelStrides part = channelStrides(job, tile.elements);
        const int64_t reach[3] = {tile.channels * part.codes, tile.channels * part.scales,
                                  tile.channels * part.zeroPoints};
        for (int i = 0; i < tile.outputCount; i++) {
          if (tile.outputs[i].file >= 0 || !inRing(tile.outputs[i].offset, reach[i])) return "ring";
        }
        break;
      }
      case KernelId::kTieGate: {
        if (tile.inputCount != (job.hasZeroPoints ? 4 : 3) || tile.outputCount != 0) return "tie gate";
        const int64_t size = elementSize(job.type);
        const bool table = job.columns ? carries(0, tile.elements, tile.channels * size)
                                       : carries(0, 1, tile.channels * tile.elements * size);
        const ChannelStrides strides = channelStrides(job, tile.elements);
        const int64_t bytes[3] = {strides.codes, strides.scales, strides.zeroPoints};
        if (!table) return "tie gate table";
        for (int i = 1; i < tile.inputCount; i++) {
          const bool perChannel = tile.inputs[i].file < 0 && carries(i, tile.channels, bytes[i - 1]);
          if (!perChannel && !carries(i, 1, tile.channels * bytes[i - 1])) return "tie gate input";
        }
        break;
      }
      case KernelId::kCompare: {
        if (tile.inputCount != 2 || tile.outputCount != 0) return "compare";
        const int64_t size = job.elementBytes;
        const bool fits = job.transposed ? carries(0, tile.elements, tile.channels * size) &&
                                               carries(1, tile.channels, tile.elements * size)
                                         : carries(0, 1, tile.channels * tile.elements * size) &&
                                               carries(1, 1, tile.channels * tile.elements * size);
        if (!fits) return "compare input";
        break;
      }
      case KernelId::kCast:
      case KernelId::kMeasureCast: {
        const int outputCount = job.kernel == KernelId::kCast ? 1 : 0;
        if (tile.inputCount != 1 || tile.outputCount != outputCount) return "cast";
        if (!carries(0, 1, tile.elements * elementSize(job.type))) return "cast input";
        if (outputCount == 1 && tile.outputs[0].file < 0) return "cast output";
        break;
      }
      case KernelId::kRelayout: {
        if (tile.inputCount != 1 || tile.outputCount != 1) return "relayout";
        const TileOutput& output = tile.outputs[0];
        if (!job.transposed) {
          if (!carries(0, 1, tile.elements) || output.file < 0) return "relayout bytes";
          break;
        }
        const int64_t columns = std::min(tile.channels * columnElements(job), job.n - tile.firstChannel * columnElements(job));
        if (columns < 1 || tile.elements < 1 || !carries(0, tile.elements, tile.channels * columnBytes(job))) {
          return "relayout input";
        }
        const int64_t share = packedBytes(job, tile.elements);
        if (static_cast<double>(columns) * static_cast<double>(share) > 4e15) return "extent";
        const int64_t reach = columns * share;
        if (output.file >= 0 || !inRing(output.offset, reach)) return "ring";
        break;
      }
      default:
        return "kernel";
    }
  }
  return nullptr;
}

}  // namespace lathe
