// Rows ([N, K]): kLanes blocks of a channel make a group. Its extremes are reduced with one transposition, so that
// scales, zero points and reciprocals are computed for all blocks of the group at once.
#pragma once

#include "quantize-block.inc.h"

namespace lathe {
namespace {

constexpr int64_t kMaxBlockSize = 256;
// Vectors that are packed together.
constexpr int kPack = 4;

// Consecutive blocks of one channel: where the codes of the first one go, where the channel's scales and zero points
// begin.
struct BlockRun {
  int64_t first;
  int64_t count;
  uint8_t* codes;
  uint8_t* scales;
  uint8_t* zeroPoints;
};

// Writes `count` zero points from block `first` on. Unused slots of the last byte hold the middle code.
inline void storeZeroPoints(uint32_t bits, uint8_t* to, int64_t first, int64_t count, const int32_t* codes) {
  if (bits == 8) {
    for (int64_t i = 0; i < count; i++) to[first + i] = static_cast<uint8_t>(codes[i]);
    return;
  }
  int64_t i = 0;
  if (first % 2 != 0) {
    to[first / 2] = static_cast<uint8_t>((to[first / 2] & 0x0f) | codes[0] << 4);
    i = 1;
  }
  for (; i + 1 < count; i += 2) to[(first + i) / 2] = static_cast<uint8_t>(codes[i] | codes[i + 1] << 4);
  if (i < count) to[(first + i) / 2] = static_cast<uint8_t>(codes[i] | 0x80);
}

// Extremes of `count` consecutive blocks, one per lane; kVectors is the block's size in vectors, 4 meaning 4 or more.
template <FloatType kType, int kVectors>
inline void findExtremes(const uint8_t* src, int64_t blockSize, int64_t count, Floats* low, Floats* high) {
  constexpr int64_t kVectorBytes = kLanes * kElementBytes<kType>;
  Floats lows[kLanes], highs[kLanes];
  for (int64_t block = 0; block < count; block++) {
    const uint8_t* from = src + block * blockSize * kElementBytes<kType>;
    Floats smallest[kVectors], largest[kVectors];
    for (int i = 0; i < kVectors; i++) smallest[i] = largest[i] = load<kType>(from + i * kVectorBytes);
    for (int64_t element = kVectors * kLanes; element < blockSize; element += kVectors * kLanes) {
      const uint8_t* next = from + element * kElementBytes<kType>;
      for (int i = 0; i < kVectors; i++) {
        const Floats x = load<kType>(next + i * kVectorBytes);
        smallest[i] = min(smallest[i], x);
        largest[i] = max(largest[i], x);
      }
    }
    for (int step = kVectors / 2; step > 0; step /= 2) {
      for (int i = 0; i < step; i++) {
        smallest[i] = min(smallest[i], smallest[i + step]);
        largest[i] = max(largest[i], largest[i + step]);
      }
    }
    lows[block] = smallest[0];
    highs[block] = largest[0];
  }
  for (int64_t block = count; block < kLanes; block++) {
    lows[block] = lows[0];
    highs[block] = highs[0];
  }
  *low = reduceEach<min>(lows);
  *high = reduceEach<max>(highs);
}

// Codes of kPack vectors from element `first` of the group on.
template <FloatType kType, int kBits, int kVectors>
inline void encodePack(const uint8_t* src, int64_t first, int64_t blockSize, const float* reciprocals,
                       const float* zeroPoints, uint8_t* to) {
  const Floats top = broadcast(static_cast<float>((1 << kBits) - 1));
  const int64_t firstBlock = kVectors < kPack ? first / (kVectors * kLanes) : first / blockSize;
  Ints codes[kPack];
  for (int i = 0; i < kPack; i++) {
    const int64_t block = firstBlock + i / kVectors;
    const Floats x = load<kType>(src + i * kLanes * kElementBytes<kType>);
    codes[i] = encode(x, broadcast(reciprocals[block]), broadcast(zeroPoints[block]), top);
  }
  if constexpr (kBits == 4) {
    packNibbles(codes, to);
  } else {
    packBytes(codes, to);
  }
}

// Quantizes 1 to kLanes whole blocks. kSource is the type at `src`: kType, or fp32 when the group was decoded before.
template <FloatType kSource, FloatType kType, int kBits, int kVectors>
inline void quantizeGroup(const QuantizeParams& params, const uint8_t* src, const BlockRun& run) {
  const int64_t blockSize = params.blockSize;
  const int64_t count = run.count;
  Floats low, high;
  findExtremes<kSource, kVectors>(src, blockSize, count, &low, &high);

  alignas(64) uint8_t scales[kLanes * 4];
  alignas(64) int32_t zeroPoints[kLanes];
  const BlockCoder coder =
      makeCoder<kType>(params.symmetric, kBits, low, high, scales, zeroPoints, [&](float* firstElements) {
        for (int64_t lane = 0; lane < kLanes; lane++) {
          const int64_t block = lane < count ? lane : 0;
          alignas(64) float head[kLanes];
          storeFloats(head, load<kSource>(src + block * blockSize * kElementBytes<kSource>));
          firstElements[lane] = head[0];
        }
      });
  __builtin_memcpy(run.scales + run.first * kElementBytes<kType>, scales, count * kElementBytes<kType>);
  if (!params.symmetric) storeZeroPoints(kBits, run.zeroPoints, run.first, count, zeroPoints);

  alignas(64) float reciprocals[kLanes], offsets[kLanes];
  storeFloats(reciprocals, coder.reciprocal);
  storeFloats(offsets, coder.zeroPoint);
  constexpr int64_t kPackElements = kPack * kLanes;
  constexpr int64_t kPackCodeBytes = kPackElements * kBits / 8;
  const int64_t elements = count * blockSize;
  int64_t element = 0;
  for (; element + kPackElements <= elements; element += kPackElements) {
    encodePack<kSource, kBits, kVectors>(src + element * kElementBytes<kSource>, element, blockSize, reciprocals,
                                         offsets, run.codes + element * kBits / 8);
  }
  if (element < elements) {  // an incomplete pack: blocks smaller than it
    alignas(64) uint8_t padded[kPackElements * kElementBytes<kSource>] = {};
    alignas(64) uint8_t packed[kPackCodeBytes];
    __builtin_memcpy(padded, src + element * kElementBytes<kSource>, (elements - element) * kElementBytes<kSource>);
    encodePack<kSource, kBits, kVectors>(padded, element, blockSize, reciprocals, offsets, packed);
    __builtin_memcpy(run.codes + element * kBits / 8, packed, (elements - element) * kBits / 8);
  }
}

// Notes suspects of `byteLength` bytes.
template <FloatType kType>
inline Suspects noteAll(Suspects suspects, const uint8_t* src, int64_t byteLength) {
  constexpr int64_t kStep = kLanes * 4;
  int64_t offset = 0;
  for (; offset + kStep <= byteLength; offset += kStep) suspects = note<kType>(suspects, src + offset);
  if (offset < byteLength) {
    alignas(64) uint8_t rest[kStep] = {};
    __builtin_memcpy(rest, src + offset, byteLength - offset);
    suspects = note<kType>(suspects, rest);
  }
  return suspects;
}

template <FloatType kType, int kBits, int kVectors>
inline void quantizeGroupAnyLoad(const QuantizeParams& params, const uint8_t* src, const BlockRun& run) {
  if constexpr (kHalfLoadIsSlow && kType == FloatType::kFloat16) {
    alignas(64) float decoded[kLanes * kMaxBlockSize];
    for (int64_t i = 0; i < run.count * params.blockSize; i += kLanes) {
      storeFloats(decoded + i, load<kType>(src + i * kElementBytes<kType>));
    }
    quantizeGroup<FloatType::kFloat32, kType, kBits, kVectors>(params, reinterpret_cast<uint8_t*>(decoded), run);
  } else {
    quantizeGroup<kType, kType, kBits, kVectors>(params, src, run);
  }
}

// The last block of a channel whose length is not a multiple of the block: padded with its own first element, which
// changes neither extreme, and the padding's codes cleared.
template <FloatType kType, int kBits, int kVectors>
void quantizeTail(const QuantizeParams& params, const uint8_t* src, int64_t elements, const BlockRun& run) {
  constexpr int64_t kBytes = kElementBytes<kType>;
  alignas(64) uint8_t padded[kMaxBlockSize * kBytes];
  alignas(64) uint8_t codes[kMaxBlockSize * kBits / 8];
  __builtin_memcpy(padded, src, elements * kBytes);
  for (int64_t i = elements; i < params.blockSize; i++) __builtin_memcpy(padded + i * kBytes, src, kBytes);
  quantizeGroupAnyLoad<kType, kBits, kVectors>(params, padded, {run.first, 1, codes, run.scales, run.zeroPoints});
  const int64_t wholeBytes = elements * kBits / 8;
  __builtin_memset(run.codes, 0, params.blockSize * kBits / 8);
  __builtin_memcpy(run.codes, codes, wholeBytes);
  if (elements * kBits % 8 != 0) run.codes[wholeBytes] = codes[wholeBytes] & 0x0f;
}

template <FloatType kType, int kBits, int kVectors>
ElementIndex quantizeRowsOf(const QuantizeParams& params, const uint8_t* src, int64_t channels,
                            const QuantizeOutput& out) {
  constexpr int64_t kBytes = kElementBytes<kType>;
  const int64_t blockSize = params.blockSize;
  const int64_t blob = blockSize * kBits / 8;
  const int64_t wholeBlocks = params.k / blockSize;
  const int64_t tail = params.k % blockSize;
  Suspects suspects = noSuspects();
  for (int64_t channel = 0; channel < channels; channel++) {
    const uint8_t* row = src + channel * params.k * kBytes;
    uint8_t* codes = out.codes + channel * out.codesStride;
    uint8_t* scales = out.scales + channel * out.scalesStride;
    uint8_t* zeroPoints = params.symmetric ? nullptr : out.zeroPoints + channel * out.zeroPointsStride;
    for (int64_t block = 0; block < wholeBlocks; block += kLanes) {
      const int64_t count = wholeBlocks - block < kLanes ? wholeBlocks - block : kLanes;
      const uint8_t* from = row + block * blockSize * kBytes;
      suspects = noteAll<kType>(suspects, from, count * blockSize * kBytes);
      quantizeGroupAnyLoad<kType, kBits, kVectors>(params, from,
                                                   {block, count, codes + block * blob, scales, zeroPoints});
    }
    if (tail != 0) {
      const uint8_t* from = row + wholeBlocks * blockSize * kBytes;
      suspects = noteAll<kType>(suspects, from, tail * kBytes);
      quantizeTail<kType, kBits, kVectors>(params, from, tail,
                                           {wholeBlocks, 1, codes + wholeBlocks * blob, scales, zeroPoints});
    }
  }
  return hasNonFinite<kType>(suspects) ? findNonFinite<kType>(src, params.k * kBytes, channels, params.k) : -1;
}

template <FloatType kType, int kBits>
ElementIndex quantizeRowsBy(const QuantizeParams& params, const uint8_t* src, int64_t channels,
                            const QuantizeOutput& out) {
  const int64_t vectors = params.blockSize / kLanes;
  if (vectors == 1) return quantizeRowsOf<kType, kBits, 1>(params, src, channels, out);
  if (vectors == 2) return quantizeRowsOf<kType, kBits, 2>(params, src, channels, out);
  return quantizeRowsOf<kType, kBits, 4>(params, src, channels, out);
}

ElementIndex quantizeRows(const QuantizeParams& params, const uint8_t* src, int64_t channels,
                          const QuantizeOutput& out) {
  const bool wide = params.bits == 8;
  switch (params.type) {
    case FloatType::kFloat32:
      return wide ? quantizeRowsBy<FloatType::kFloat32, 8>(params, src, channels, out)
                  : quantizeRowsBy<FloatType::kFloat32, 4>(params, src, channels, out);
    case FloatType::kFloat16:
      return wide ? quantizeRowsBy<FloatType::kFloat16, 8>(params, src, channels, out)
                  : quantizeRowsBy<FloatType::kFloat16, 4>(params, src, channels, out);
    default:
      return wide ? quantizeRowsBy<FloatType::kBFloat16, 8>(params, src, channels, out)
                  : quantizeRowsBy<FloatType::kBFloat16, 4>(params, src, channels, out);
  }
}

}  // namespace
}  // namespace lathe
