// What comes of columns on its way out: collected for kLanes channels at a time, and transposed, codes to a cache line
// per channel for blocks up to 128 rows.
#pragma once

#include "quantize-block.inc.h"
#include "quantize-rows.inc.h"

namespace lathe {
namespace {

constexpr int64_t kLineBytes = 64;
// Rows whose codes are stored together: a multiple of every block size but the largest, which is stored by itself.
constexpr int64_t kStoredRows = 128;
constexpr int64_t kMaxStoredBlocks = kStoredRows / 16;

// What kLanes channels have collected of up to kStoredRows rows (or one block of more).
template <int kBits>
struct Collected {
  Ints words[kMaxBlockSize * kBits / 32];
  alignas(64) uint8_t scales[kMaxStoredBlocks][kRegisterBytes];
  alignas(64) int32_t zeroPoints[kMaxStoredBlocks][kLanes];
};

// Writes the scales and zero points of storeCollected. kBlocks is the number of blocks when it is known beforehand,
// else 0: the loops over them are most of the work.
template <FloatType kType, int kBits, int kBlocks>
inline void storeScales(const QuantizeParams& params, const Collected<kBits>& from, int64_t first, int64_t count,
                        int lanes, int64_t channel, const QuantizeOutput& out) {
  constexpr int64_t kBytes = kElementBytes<kType>;
  uint8_t* const scales = out.scales + channel * out.scalesStride + first * kBytes;
  if constexpr (kBlocks == 4 && kBytes == 2) {
    uint64_t packed[kLanes];
    for (int lane = 0; lane < kLanes; lane++) {
      packed[lane] = 0;
      for (int block = 0; block < kBlocks; block++) {
        uint16_t scale;
        __builtin_memcpy(&scale, from.scales[block] + lane * kBytes, kBytes);
        packed[lane] |= static_cast<uint64_t>(scale) << (block * 16);
      }
    }
    for (int lane = 0; lane < lanes; lane++) __builtin_memcpy(scales + lane * out.scalesStride, &packed[lane], 8);
  } else {
    for (int lane = 0; lane < lanes; lane++) {
      for (int64_t block = 0; block < count; block++) {
        __builtin_memcpy(scales + lane * out.scalesStride + block * kBytes, from.scales[block] + lane * kBytes, kBytes);
      }
    }
  }
  if (params.symmetric) return;
  uint8_t* const zeroPoints = out.zeroPoints + channel * out.zeroPointsStride;
  if constexpr (kBlocks != 0) {  // `first` is a multiple of it: whole bytes
    uint32_t packed[kLanes];
    for (int lane = 0; lane < kLanes; lane++) {
      packed[lane] = 0;
      for (int block = 0; block < kBlocks; block++) {
        packed[lane] |= static_cast<uint32_t>(from.zeroPoints[block][lane]) << (block * kBits);
      }
    }
    for (int lane = 0; lane < lanes; lane++) {
      __builtin_memcpy(zeroPoints + lane * out.zeroPointsStride + first * kBits / 8, &packed[lane], kBlocks * kBits / 8);
    }
  } else {
    for (int lane = 0; lane < lanes; lane++) {
      int32_t codes[kMaxStoredBlocks];
      for (int64_t block = 0; block < count; block++) codes[block] = from.zeroPoints[block][lane];
      storeZeroPoints(kBits, zeroPoints + lane * out.zeroPointsStride, first, count, codes);
    }
  }
}

// Writes what `lanes` channels have collected: `blocks` blocks, the first of which is block `first` of the strip.
template <FloatType kType, int kBits>
inline void storeCollected(const QuantizeParams& params, const Collected<kBits>& from, int64_t first, int64_t blocks,
                           int lanes, int64_t channel, const QuantizeOutput& out) {
  const int64_t blob = params.blockSize * kBits / 8;
  uint8_t* codes = out.codes + channel * out.codesStride + first * blob;
  const int64_t byteLength = blocks * blob;
  constexpr int64_t kLineWords = kLineBytes / 4;
  for (int64_t done = 0; done < byteLength; done += kLineBytes) {
    const Ints* const words = from.words + done / 4;
    const int64_t wanted = byteLength - done < kLineBytes ? byteLength - done : kLineBytes;
    if (kLanes == kLineWords && wanted == kLineBytes) {
      storeTransposed(words, codes + done, out.codesStride, lanes);
      continue;
    }
    // A line is put together first: its parts would come far apart, when it may have left the cache again.
    alignas(64) uint8_t lines[kLanes * kLineBytes];
    for (int64_t word = 0; word < kLineWords; word += kLanes) {
      storeTransposed(words + word, lines + word * 4, kLineBytes, kLanes);
    }
    for (int lane = 0; lane < lanes; lane++) {
      uint8_t* const to = codes + lane * out.codesStride + done;
      if (wanted == kLineBytes) {
        __builtin_memcpy(to, lines + lane * kLineBytes, kLineBytes);
      } else {
        __builtin_memcpy(to, lines + lane * kLineBytes, wanted);
      }
    }
  }
  if (blocks == kStoredRows / 32 && params.blockSize == 32) {
    storeScales<kType, kBits, kStoredRows / 32>(params, from, first, blocks, lanes, channel, out);
  } else {
    storeScales<kType, kBits, 0>(params, from, first, blocks, lanes, channel, out);
  }
}

}  // namespace
}  // namespace lathe
