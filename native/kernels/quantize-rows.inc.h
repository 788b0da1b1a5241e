// Rows ([N, K]): kLanes blocks of a channel make a group. Its extremes are reduced with one transposition, so that
// scales, zero points and reciprocals are computed for all blocks of the group at once; they are computed one group
// ahead of the codes, which hides the latency of the divisions.
#pragma once

#include "quantize-block.inc.h"

namespace lathe {
namespace {

// Vectors that are packed together.
constexpr int kPack = 4;

// Blocks of 16 and 32 have functions of their own, in which their size is known; kFixedSize is 0 for all others.
template <int kFixedSize>
constexpr int64_t sizeOr(int64_t blockSize) {
  return kFixedSize == 0 ? blockSize : kFixedSize;
}
// Vectors of a block that are handled together.
template <int kFixedSize>
constexpr int kVectors = kFixedSize != 0 && kFixedSize < kPack * kLanes ? kFixedSize / kLanes : kPack;

// 1 to kLanes consecutive whole blocks of one channel, and what encodes them.
struct Group {
  const uint8_t* src;
  uint8_t* codes;
  int64_t count;
  bool exact;  // see needsExact
  alignas(64) float reciprocals[kLanes];
  alignas(64) float offsets[kLanes];
};

// Where a channel's scales and zero points begin.
struct ChannelOutput {
  uint8_t* scales;
  uint8_t* zeroPoints;
};

// Writes `count` zero points from block `first` on. Unused slots of the last byte hold the middle code. Not inlined:
// GCC 12 then takes what vector stores wrote for uninitialized.
__attribute__((noinline)) void storeZeroPoints(uint32_t bits, uint8_t* to, int64_t first, int64_t count, const int32_t* codes) {
  if (bits == 8) {
    for (int64_t i = 0; i < count; i++) to[first + i] = static_cast<uint8_t>(codes[i]);
    return;
  }
  if (bits == 2) {
    for (int64_t i = 0; i < count; i++) {
      const int64_t slot = (first + i) % 4 * 2;
      const int others = slot == 0 ? 0xaa : to[(first + i) / 4];
      to[(first + i) / 4] = static_cast<uint8_t>((others & ~(3 << slot)) | codes[i] << slot);
    }
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

// Extremes of one block, the low ones turned.
template <FloatType kType, int kFixedSize>
inline void blockExtremes(const uint8_t* src, int64_t blockSize, Watch<kType>* watch, Ints* low, Ints* high) {
  constexpr int kRegisters = kVectors<kFixedSize> * kElementBytes<kType> / 4;
  if constexpr (kRegisters == 0) {
    *high = loadTwice(src);
    *low = turned<kType>(*high);
  } else {
    Ints lows[kRegisters], highs[kRegisters];
    for (int i = 0; i < kRegisters; i++) {
      const Ints x = loadInts(src + i * kRegisterBytes);
      watch->elements(x);
      lows[i] = turned<kType>(x);
      highs[i] = x;
    }
    if constexpr (kVectors<kFixedSize> == kPack) {
      const uint8_t* const end = src + sizeOr<kFixedSize>(blockSize) * kElementBytes<kType>;
      for (src += kRegisters * kRegisterBytes; src < end; src += kRegisters * kRegisterBytes) {
        for (int i = 0; i < kRegisters; i++) {
          const Ints x = loadInts(src + i * kRegisterBytes);
          watch->elements(x);
          lows[i] = lower<kType>(lows[i], turned<kType>(x));
          highs[i] = upper<kType>(highs[i], x);
        }
      }
    }
    for (int step = kRegisters / 2; step > 0; step /= 2) {
      for (int i = 0; i < step; i++) {
        lows[i] = lower<kType>(lows[i], lows[i + step]);
        highs[i] = upper<kType>(highs[i], highs[i + step]);
      }
    }
    *low = lows[0];
    *high = highs[0];
  }
}

// The extreme of each lane's two: 16-bit elements, of which the maximum as integers is sought.
inline Ints foldPairs(Ints pairs) {
  return maxPairs(pairs, upperOfPairs(pairs));
}
// Floats of the lower 16 bits of each lane.
template <FloatType kType>
inline Floats decodeLower(Ints lanes) {
  alignas(64) uint8_t elements[kLanes * 2];
  storeLower(elements, lanes);
  return load<kType>(elements);
}

// Extremes of the blocks of a group, one block per lane; lanes without a block repeat the first one.
template <FloatType kType, int kFixedSize>
inline void groupExtremes(const Group& group, int64_t blockSize, Watch<kType>* watch, Floats* low, Floats* high) {
  blockSize = sizeOr<kFixedSize>(blockSize);
  Ints lows[kLanes], highs[kLanes];
  blockExtremes<kType, kFixedSize>(group.src, blockSize, watch, &lows[0], &highs[0]);
  for (int block = 1; block < kLanes; block++) {
    if (block < group.count) {
      blockExtremes<kType, kFixedSize>(group.src + block * blockSize * kElementBytes<kType>, blockSize, watch,
                                     &lows[block], &highs[block]);
    } else {
      lows[block] = lows[0];
      highs[block] = highs[0];
    }
  }
  const Ints lowest = reduceEach<lower<kType>>(lows);
  const Ints highest = reduceEach<upper<kType>>(highs);
  watch->extremes(lowest, highest);
  if constexpr (kType == FloatType::kFloat32) {
    alignas(64) uint8_t bits[2][kRegisterBytes];
    storeInts(bits[0], lowest);
    storeInts(bits[1], highest);
    *low = load<kType>(bits[0]);
    *high = load<kType>(bits[1]);
  } else {
    *low = decodeLower<kType>(turned<kType>(foldPairs(lowest)));
    *high = decodeLower<kType>(foldPairs(highest));
  }
}

// The elements of a group in the units of a search: one block per lane, made from rows by transposing registers of
// them as 32-bit words.
template <FloatType kType>
inline void stageGroup(const Group& group, int64_t blockSize, Floats inverse, Ints* units) {
  constexpr bool kWordIsPair = kElementBytes<kType> == 2;
  const int64_t byteLength = blockSize * kElementBytes<kType>;
  alignas(64) uint8_t words[kLanes * kRegisterBytes];
  for (int64_t offset = 0; offset < byteLength; offset += kRegisterBytes) {
    const int64_t wanted = byteLength - offset < kRegisterBytes ? byteLength - offset : kRegisterBytes;
    Ints rows[kLanes];
    for (int lane = 0; lane < kLanes; lane++) {
      const uint8_t* const from = group.src + (lane < group.count ? lane : 0) * byteLength + offset;
      if (wanted == kRegisterBytes) {
        rows[lane] = loadInts(from);
      } else {
        alignas(64) uint8_t part[kRegisterBytes] = {};
        __builtin_memcpy(part, from, wanted);
        rows[lane] = loadInts(part);
      }
    }
    storeTransposed(rows, words, kRegisterBytes, kLanes);
    for (int64_t word = 0; word < wanted / 4; word += kWordIsPair ? 1 : 2) {
      const uint8_t* const from = words + word * kRegisterBytes;
      if constexpr (kWordIsPair) {
        alignas(64) uint8_t halves[2][kRegisterBytes / 2];
        storeLower(halves[0], loadInts(from));
        storeLower(halves[1], upperOfPairs(loadInts(from)));
        *units++ = unitPair(load<kType>(halves[0]), load<kType>(halves[1]), inverse);
      } else {
        *units++ = unitPair(load<kType>(from), load<kType>(from + kRegisterBytes), inverse);
      }
    }
  }
}

template <int kBits>
inline void packCodes(const Ints* codes, uint8_t* to) {
  if constexpr (kBits == 2) {
    packCrumbs(codes, to);
  } else if constexpr (kBits == 4) {
    packNibbles(codes, to);
  } else {
    packBytes(codes, to);
  }
}

// Finds what encodes the group, whose blocks have `elements` elements, and stores its scales and zero points; `first`
// is the index of its first block.
template <FloatType kType, int kBits, int kFixedSize>
inline void prepare(const QuantizeParams& params, int64_t elements, int64_t first, const ChannelOutput& out,
                    Watch<kType>* watch, Group* group) {
  Floats low, high;
  groupExtremes<kType, kFixedSize>(*group, params.blockSize, watch, &low, &high);
  alignas(64) uint8_t scales[kLanes * 4];
  const auto firstElements = [&] {
    alignas(64) uint8_t elements[kLanes * kElementBytes<kType>] = {};
    for (int64_t block = 0; block < group->count; block++) {
      __builtin_memcpy(elements + block * kElementBytes<kType>,
                       group->src + block * params.blockSize * kElementBytes<kType>, kElementBytes<kType>);
    }
    return load<kType>(elements);
  };
  const auto stage = [&](Floats inverse, Ints* units) { stageGroup<kType>(*group, params.blockSize, inverse, units); };
  const BlockCoder coder = makeCoder<kType, kBits>(params, elements, low, high, scales, firstElements, stage);
  storeFloats(group->reciprocals, coder.reciprocal);
  storeFloats(group->offsets, coder.offset);
  group->exact = needsExact<kType>(coder);
  uint8_t* const to = out.scales + first * kElementBytes<kType>;
  if (group->count == kLanes) {
    __builtin_memcpy(to, scales, kLanes * kElementBytes<kType>);
  } else {
    __builtin_memcpy(to, scales, group->count * kElementBytes<kType>);
  }
  if (params.symmetric) return;
  const Ints zeroPoints = truncate(coder.offset);
  if (group->count == kLanes) {
    const Ints codes[kPack] = {zeroPoints, zeroPoints, zeroPoints, zeroPoints};
    alignas(64) uint8_t packed[kPack * kLanes * kBits / 8];
    packCodes<kBits>(codes, packed);
    __builtin_memcpy(out.zeroPoints + first * kBits / 8, packed, kLanes * kBits / 8);
  } else {
    alignas(64) int32_t stored[kLanes];
    storeInts(stored, zeroPoints);
    storeZeroPoints(kBits, out.zeroPoints, first, group->count, stored);
  }
}

// Codes of kPack vectors of elements, each block of which has its coder.
template <FloatType kType, int kBits, int kFixedSize, bool kExact>
inline void encodePack(const uint8_t* src, const BlockCoder* coders, uint8_t* to) {
  const Floats top = broadcast(static_cast<float>((1 << kBits) - 1));
  Floats elements[kPack];
  for (int i = 0; i < kPack; i += 2) loadTwo<kType, kExact>(src + i * kLanes * kElementBytes<kType>, elements + i);
  Ints codes[kPack];
  for (int i = 0; i < kPack; i++) codes[i] = encode<kType>(elements[i], coders[i / kVectors<kFixedSize>], top);
  packCodes<kBits>(codes, to);
}

template <FloatType kType, int kBits, int kFixedSize, bool kExact>
inline void encodeGroup(const Group& group, int64_t blockSize) {
  constexpr int64_t kBytes = kElementBytes<kType>;
  constexpr int64_t kPackElements = kPack * kLanes;
  constexpr int kCoders = kPack / kVectors<kFixedSize>;  // 1 where a block may be several packs
  blockSize = sizeOr<kFixedSize>(blockSize);
  const uint8_t* src = group.src;
  uint8_t* to = group.codes;
  for (int64_t block = 0; block < group.count; block += kCoders) {
    BlockCoder coders[kCoders];
    for (int i = 0; i < kCoders; i++) {
      coders[i] = {broadcast(group.reciprocals[block + i]), broadcast(group.offsets[block + i])};
    }
    if (kCoders > 1 && block + kCoders > group.count) {
      const int64_t elements = (group.count - block) * blockSize;
      alignas(64) uint8_t padded[kPackElements * kBytes] = {};
      alignas(64) uint8_t packed[kPackElements * kBits / 8];
      __builtin_memcpy(padded, src, elements * kBytes);
      encodePack<kType, kBits, kFixedSize, kExact>(padded, coders, packed);
      __builtin_memcpy(to, packed, elements * kBits / 8);
      return;
    }
    const int64_t elements = kCoders > 1 ? kPackElements : blockSize;
    for (int64_t element = 0; element < elements; element += kPackElements) {
      encodePack<kType, kBits, kFixedSize, kExact>(src, coders, to);
      src += kPackElements * kBytes;
      to += kPackElements * kBits / 8;
    }
  }
}

// Writes the codes of a prepared group.
template <FloatType kType, int kBits, int kFixedSize>
inline void encodeGroup(const Group& group, int64_t blockSize) {
  if (kLoadsExactly<kType> || group.exact) {
    encodeGroup<kType, kBits, kFixedSize, true>(group, blockSize);
  } else {
    encodeGroup<kType, kBits, kFixedSize, false>(group, blockSize);
  }
}

// The last block of a channel whose length is not a multiple of the block: padded with its own first element, which
// changes neither extreme, and the padding's codes cleared. For all sizes: smaller than a pack, it is padded to one.
template <FloatType kType, int kBits>
__attribute__((noinline)) void quantizeTail(const QuantizeParams& params, const uint8_t* src, int64_t elements,
                                            int64_t block, uint8_t* codes, const ChannelOutput& out,
                                            Watch<kType>* watch) {
  constexpr int64_t kBytes = kElementBytes<kType>;
  alignas(64) uint8_t padded[kMaxBlockSize * kBytes];
  alignas(64) uint8_t paddedCodes[kMaxBlockSize * kBits / 8];
  __builtin_memcpy(padded, src, elements * kBytes);
  const int64_t end = params.blockSize < kPack * kLanes ? kPack * kLanes : params.blockSize;
  for (int64_t i = elements; i < end; i++) __builtin_memcpy(padded + i * kBytes, src, kBytes);
  Group group = {padded, paddedCodes, 1, true, {}, {}};
  prepare<kType, kBits, 0>(params, elements, block, out, watch, &group);
  encodeGroup<kType, kBits, 0, true>(group, params.blockSize);
  const int64_t wholeBytes = elements * kBits / 8;
  __builtin_memset(codes, 0, params.blockSize * kBits / 8);
  __builtin_memcpy(codes, paddedCodes, wholeBytes);
  if (elements * kBits % 8 != 0) codes[wholeBytes] = paddedCodes[wholeBytes] & ((1 << elements * kBits % 8) - 1);
}

template <FloatType kType, int kBits, int kFixedSize>
ElementIndex quantizeRowsOf(const QuantizeParams& params, const uint8_t* src, int64_t channels,
                            const QuantizeOutput& out) {
  constexpr int64_t kBytes = kElementBytes<kType>;
  const int64_t blockSize = sizeOr<kFixedSize>(params.blockSize);
  const int64_t blob = blockSize * kBits / 8;
  const int64_t wholeBlocks = params.k / blockSize;
  const int64_t tail = params.k % blockSize;
  Watch<kType> watch = {broadcastInt(0)};
  Group groups[2];
  Group* prepared = nullptr;
  Group* next = &groups[0];
  for (int64_t channel = 0; channel < channels; channel++) {
    const uint8_t* const row = src + channel * params.k * kBytes;
    uint8_t* const codes = out.codes + channel * out.codesStride;
    const ChannelOutput to = {out.scales + channel * out.scalesStride,
                              params.symmetric ? nullptr : out.zeroPoints + channel * out.zeroPointsStride};
    for (int64_t block = 0; block < wholeBlocks; block += kLanes) {
      next->src = row + block * blockSize * kBytes;
      next->codes = codes + block * blob;
      next->count = wholeBlocks - block < kLanes ? wholeBlocks - block : kLanes;
      prepare<kType, kBits, kFixedSize>(params, blockSize, block, to, &watch, next);
      if (prepared != nullptr) encodeGroup<kType, kBits, kFixedSize>(*prepared, blockSize);
      prepared = next;
      next = next == &groups[0] ? &groups[1] : &groups[0];
    }
    if (tail != 0) {
      quantizeTail<kType, kBits>(params, row + wholeBlocks * blockSize * kBytes, tail, wholeBlocks,
                                 codes + wholeBlocks * blob, to, &watch);
    }
  }
  if (prepared != nullptr) encodeGroup<kType, kBits, kFixedSize>(*prepared, blockSize);
  return watch.alarmed() ? findNonFinite<kType>(src, params.k * kBytes, channels, params.k) : -1;
}

template <FloatType kType, int kBits>
ElementIndex quantizeRowsBy(const QuantizeParams& params, const uint8_t* src, int64_t channels,
                            const QuantizeOutput& out) {
  if (params.blockSize == 16) return quantizeRowsOf<kType, kBits, 16>(params, src, channels, out);
  if (params.blockSize == 32) return quantizeRowsOf<kType, kBits, 32>(params, src, channels, out);
  return quantizeRowsOf<kType, kBits, 0>(params, src, channels, out);
}

template <FloatType kType>
ElementIndex quantizeRowsAs(const QuantizeParams& params, const uint8_t* src, int64_t channels,
                            const QuantizeOutput& out) {
  if (params.bits == 2) return quantizeRowsBy<kType, 2>(params, src, channels, out);
  if (params.bits == 4) return quantizeRowsBy<kType, 4>(params, src, channels, out);
  return quantizeRowsBy<kType, 8>(params, src, channels, out);
}

ElementIndex quantizeRows(const QuantizeParams& params, const uint8_t* src, int64_t channels,
                          const QuantizeOutput& out) {
  switch (params.type) {
    case FloatType::kFloat32:
      return quantizeRowsAs<FloatType::kFloat32>(params, src, channels, out);
    case FloatType::kFloat16:
      return quantizeRowsAs<FloatType::kFloat16>(params, src, channels, out);
    default:
      return quantizeRowsAs<FloatType::kBFloat16>(params, src, channels, out);
  }
}

}  // namespace
}  // namespace lathe
