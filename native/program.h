// A program as the threads see it: jobs, and tiles decoded from the packed series that src/stream/tile-list.ts
// writes. What a tile is: src/stream/program.ts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/kernels.h"

namespace lathe {

enum class KernelId : uint32_t {
  kCopy = 0,
  kQuantize = 1,
  kTieGate = 2,
  kCompare = 3,
  kCast = 4,
  kMeasureCast = 5,
  kRelayout = 6,
};

// Folds write nothing; they leave numbers.
inline bool isFold(KernelId kernel) {
  return kernel == KernelId::kTieGate || kernel == KernelId::kCompare || kernel == KernelId::kMeasureCast;
}

// Numbers per job in the encoded program, in the order of the fields of Job.
constexpr size_t kJobFields = 16;
struct Job {
  KernelId kernel;
  FloatType type;
  uint32_t bits;
  uint32_t blockSize;
  bool symmetric;
  bool columns;  // the weight is stored [k, n]
  int64_t n;
  int64_t k;
  FloatType scaleType;
  bool hasZeroPoints;
  uint32_t elementBytes;
  bool transposed;
  QuantizeMethod method;
  FloatType target;  // what a cast makes
  bool adjust;       // a cast saturates, a relayout turns top bits over
  bool measured;  // quantize: how far the codes are from the weight is summed up
};

// Null, or which field a kernel could not work with.
const char* jobDefect(const Job& job);

// Bytes per channel of a quantized weight in each of its three outputs.
struct ChannelStrides {
  int64_t codes, scales, zeroPoints;
};
int64_t elementSize(FloatType type);
ChannelStrides channelStrides(const Job& job, int64_t elements);

// Columns of a relayout, as tiles count them: the elements of one byte, or one wider element.
inline int64_t columnElements(const Job& job) { return job.bits < 8 ? 8 / job.bits : 1; }
inline int64_t columnBytes(const Job& job) { return job.bits < 8 ? 1 : job.bits / 8; }
inline int64_t packedBytes(const Job& job, int64_t elements) { return (elements * job.bits + 7) / 8; }

// `file` is an entry of the program's files, or the ring.
constexpr int64_t kRing = -1;
struct TileInput {
  int64_t file, offset, segmentBytes, segments, stride;
};
struct TileOutput {
  int64_t file, offset;
};
struct Tile {
  int64_t job, after, firstChannel, channels, firstElement, elements;
  int inputCount, outputCount;
  TileInput inputs[4];
  TileOutput outputs[3];
};

struct Program {
  std::vector<Job> jobs;
  static constexpr size_t kTileNumbers = 3;
  static constexpr size_t kHeader = 7;

  const double* words = nullptr;  // series of tiles, packed; memory of the caller, as are the next two
  size_t wordCount = 0;
  const uint32_t* starts = nullptr;  // where each series starts in `words`
  size_t seriesCount = 0;
  const uint32_t* tiles = nullptr;  // series, index in it and `after` of each tile
  size_t tileCount = 0;
  std::vector<int> inputs;        // descriptors
  std::vector<int> outputs;
  int64_t ringBytes = 0;          // memory that all threads share
  int64_t scratchBytes = 0;       // per thread
  bool mapped = false;            // read contiguous file inputs through mapped windows
  bool flushes = false;           // hand what is written to the disk at once
  const KernelTable* kernels = nullptr;

  Tile tile(size_t index) const;
  // How many tiles must be complete before this one starts.
  int64_t after(size_t index) const { return tiles[index * kTileNumbers + 2]; }
  // Null, or what is wrong with the encoding. Everything the threads rely on is checked here.
  const char* defect() const;

 private:
  const char* seriesDefect() const;
};

// Bytes that a copy from the ring writes per channel; its segments hold equal shares of all channels.
int64_t sharesPerChannel(const Tile& tile);

// How tile inputs lie in scratch memory.
constexpr int64_t kAlignment = 64;
inline int64_t alignUp(int64_t value) { return (value + kAlignment - 1) / kAlignment * kAlignment; }

// Distance of rows in a strip buffer: an odd number of cache lines, so that a column of a strip whose width is a
// power of two does not land in a handful of cache sets.
inline int64_t paddedStride(int64_t rowBytes) { return (alignUp(rowBytes) / kAlignment | 1) * kAlignment; }

// The tie gate reads codes, scales and zero points as if each channel had only the tile's elements.
inline bool needsCompact(const Job& job, int input) { return job.kernel == KernelId::kTieGate && input > 0; }

}  // namespace lathe
