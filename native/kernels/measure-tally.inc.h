// How far numbers are from those that stand for them, block by block; src/kernels/measure.ts says what is computed.
// kLanes blocks make a lot: their sums are reduced with one transposition. What is rare (sums that binary32 does not
// hold, a new largest error) is found by a test of the whole lot and then looked at block by block. Needs a simd-*.h
// before it.
#pragma once

#include "float-patterns.h"
#include "quantize-block.inc.h"

namespace lathe {
namespace {

constexpr int kSumLanes = 16;
constexpr int kSumParts = kSumLanes / kLanes;
constexpr int64_t kMaxMeasuredBlock = 256;

constexpr float kSmallestSignal = 0x1p-60f;
constexpr float kLargestSum = 0x1p100f;
// Smaller errors are compared in binary64: products of theirs may lose bits in binary32.
constexpr float kSmallestError = 0x1p-100f;

// A member called add would hide the function.
inline Floats sum(Floats a, Floats b) { return add(a, b); }

inline bool isFinite(float x) { return (patternOf(x) & 0x7f800000) != 0x7f800000; }

// Adds binary32 numbers of 21 binades, kLanes at a time, in doubles that hold them exactly for kMaxLots additions:
// 24 bits of a number, 20 binades more, and 9 bits for their count are the 53 of a double.
constexpr int kMaxLots = 512;
struct LaneSum {
  float low = kLargestSum;  // what may be added: from here on,
  float high = 0;           // and below this
  alignas(64) double lanes[kLanes] = {};

  // Makes room for numbers around `x`, more of it below than above.
  void aim(float x, float smallest) {
    const uint32_t exponent = patternOf(x) & 0x7f800000;
    constexpr uint32_t kBinade = 1u << 23;
    low = floatOf(exponent > 14 * kBinade ? exponent - 14 * kBinade : 0);
    high = floatOf(exponent + 7 * kBinade);
    if (low < smallest) low = smallest;
    if (high > kLargestSum) high = kLargestSum;
  }

  void flush(ExactSum* sum) {
    for (double& lane : lanes) {
      sum->add(lane);
      lane = 0;
    }
    sum->carry();
  }
};

// Floats are numbers that stand for themselves.
template <int kBits>
struct Found {
  Decoder<kBits> decoder;
  Found(float scale, float zeroPoint) : decoder(scale, zeroPoint) {}
  Floats at(const uint8_t* from) const { return decoder.at(from); }
};
constexpr int kFloatBits = 32;
template <>
struct Found<kFloatBits> {
  Found(float, float) {}
  Floats at(const uint8_t* from) const { return load<FloatType::kFloat32>(from); }
};

// kLanes blocks at most: where they lie, so many bytes (and elements of the weight) apart, and what encoded them.
struct Lot {
  const uint8_t* exact;
  int64_t exactStep;
  const uint8_t* codes;
  int64_t codesStep;
  int64_t index;  // of the first element
  int64_t indexStep;
  int count;
  alignas(64) float scales[kLanes];
  alignas(64) float zeroPoints[kLanes];
};

// What a tile came to so far. kFixedSize: the block size where it is known beforehand, else 0.
template <FloatType kType, int kBits, int kFixedSize>
class Tally {
 public:
  Tally(int64_t blockSize, ErrorSum* sum) : blockSize_(blockSize), sum_(sum) {}

  inline void add(const Lot& lot) {
    Floats largest = broadcast(0.0f);
    Ints errorParts[kLanes], signalParts[kLanes];
    measure(lot, 0, &largest, &errorParts[0], &signalParts[0]);
    for (int i = 1; i < kLanes; i++) {
      if (i < lot.count) {
        measure(lot, i, &largest, &errorParts[i], &signalParts[i]);
      } else {  // sums that do no harm to the test below
        errorParts[i] = errorParts[0];
        signalParts[i] = signalParts[0];
      }
    }
    const Floats errors = fromBits(reduceEach<addBits>(errorParts));
    const Floats signals = fromBits(reduceEach<addBits>(signalParts));
    storeFloats(errors_, errors);
    storeFloats(signals_, signals);
    if (!isRegular(errors, signals)) {
      addEach(lot);
      return;
    }
    for (int i = lot.count; i < kLanes; i++) errors_[i] = signals_[i] = 0;
    for (int i = 0; i < kLanes; i++) error_.lanes[i] += static_cast<double>(errors_[i]);
    for (int i = 0; i < kLanes; i++) signal_.lanes[i] += static_cast<double>(signals_[i]);
    if (++lots_ == kMaxLots) flush();
    if (any(greater(largest, broadcast(largestBelow_)))) addDifferences(lot);
    if (any(greater(errors, multiply(signals, broadcast(worstBelow_))))) addRatios(lot);
  }

  // To be called at the end.
  void flush() {
    lots_ = 0;
    error_.flush(&sum_->error);
    signal_.flush(&sum_->signal);
  }

 private:
  static Floats exactAt(const uint8_t* from, int64_t i) { return load<kType>(from + i * kElementBytes<kType>); }

  int64_t blockSize() const { return kFixedSize == 0 ? blockSize_ : kFixedSize; }

  inline void measure(const Lot& lot, int block, Floats* largest, Ints* error, Ints* signal) {
    const uint8_t* const exact = lot.exact + block * lot.exactStep;
    const uint8_t* const codes = lot.codes + block * lot.codesStep;
    const Found<kBits> found(lot.scales[block], lot.zeroPoints[block]);
    float* const differences = differences_[block];
    Floats errors[kSumParts], signals[kSumParts];
    for (int part = 0; part < kSumParts; part++) errors[part] = signals[part] = broadcast(0.0f);
    for (int64_t i = 0; i < blockSize(); i += kSumLanes) {
      for (int part = 0; part < kSumParts; part++) {
        const int64_t element = i + part * kLanes;
        const Floats x = exactAt(exact, element);
        const Floats e = subtract(x, found.at(codes + element * kBits / 8));
        storeFloats(differences + element, e);
        *largest = largerMagnitude(*largest, e);
        errors[part] = sum(errors[part], multiply(e, e));
        signals[part] = sum(signals[part], multiply(x, x));
      }
    }
    *error = sumBits(errors);
    *signal = sumBits(signals);
  }

  // True when every sum can go into the lanes. The smaller of a NaN and a bound is the bound.
  bool isRegular(Floats errors, Floats signals) const {
    const Floats errorTop = broadcast(error_.high), errorLow = broadcast(error_.low);
    const Floats signalTop = broadcast(signal_.high);
    const bool high = any(isZero(subtract(errorTop, min(errors, errorTop)))) ||
                      any(isZero(subtract(signalTop, min(signals, signalTop))));
    const bool low = any(greater(errorLow, select(isZero(errors), errorLow, errors))) ||
                     any(greater(broadcast(signal_.low), signals));
    return !high && !low;
  }

  __attribute__((noinline)) void addEach(const Lot& lot) {
    float error = 0, signal = 0;  // the largest that binary32 holds
    for (int i = 0; i < lot.count; i++) {
      const bool fits = signals_[i] >= kSmallestSignal && signals_[i] <= kLargestSum && errors_[i] <= kLargestSum;
      if (!fits) {
        addWide(lot, i);
        continue;
      }
      sum_->error.add(errors_[i]);
      sum_->signal.add(signals_[i]);
      addDifference(lot, i);
      addRatio(errors_[i], signals_[i], lot.index + i * lot.indexStep);
      if (errors_[i] > error) error = errors_[i];
      if (signals_[i] > signal) signal = signals_[i];
    }
    const auto isOff = [](const LaneSum& sum, float x) { return x > 0 && !(x >= sum.low && x < sum.high); };
    const bool errorOff = error >= kSmallestError && isOff(error_, error);
    const bool signalOff = isOff(signal_, signal);
    if (!errorOff && !signalOff) return;
    flush();
    if (errorOff) error_.aim(error, kSmallestError);
    if (signalOff) signal_.aim(signal, kSmallestSignal);
  }

  __attribute__((noinline)) void addDifferences(const Lot& lot) {
    for (int i = 0; i < lot.count; i++) addDifference(lot, i);
  }

  __attribute__((noinline)) void addRatios(const Lot& lot) {
    for (int i = 0; i < lot.count; i++) addRatio(errors_[i], signals_[i], lot.index + i * lot.indexStep);
  }

  // Magnitudes of floats are ordered like their patterns.
  void addDifference(const Lot& lot, int block) {
    const float* const differences = differences_[block];
    uint32_t top = 0;
    for (int64_t i = 0; i < blockSize(); i++) {
      const uint32_t magnitude = patternOf(differences[i]) & 0x7fffffff;
      top = magnitude > top ? magnitude : top;
    }
    const float largest = floatOf(top);
    if (top == 0 || largest < sum_->largest.value) return;
    int64_t at = 0;
    while ((patternOf(differences[at]) & 0x7fffffff) != top) at++;
    sum_->largest.raise(largest, lot.index + block * lot.indexStep + at);
    setLargestBelow();
  }

  void setLargestBelow() {
    // Equal ones are looked at as well: theirs may be the lower index.
    const float largest = sum_->largest.value < kLargestSum ? static_cast<float>(sum_->largest.value) : kLargestSum;
    largestBelow_ = largest > 0 ? floatOf(patternOf(largest) - 1) : 0;
  }

  void addRatio(double error, double signal, int64_t index) {
    if (!(error > 0)) return;
    sum_->worst.raise(error / signal, index);
    // A little lower, so that no rounding hides a block that is as bad.
    const double below = sum_->worst.value * (1 - 0x1p-20);
    worstBelow_ = below < 0x1p20 ? static_cast<float>(below) : 0x1p20f;
  }

  // The sums of a block in binary64.
  __attribute__((noinline)) void addWide(const Lot& lot, int block) {
    float exact[kMaxMeasuredBlock], found[kMaxMeasuredBlock];
    const Found<kBits> source(lot.scales[block], lot.zeroPoints[block]);
    const int64_t index = lot.index + block * lot.indexStep;
    for (int64_t i = 0; i < blockSize(); i += kLanes) {
      storeFloats(exact + i, exactAt(lot.exact + block * lot.exactStep, i));
      storeFloats(found + i, source.at(lot.codes + block * lot.codesStep + i * kBits / 8));
    }
    double errors[kSumLanes] = {}, signals[kSumLanes] = {};
    double largest = 0;
    int64_t largestAt = -1;
    for (int64_t i = 0; i < blockSize(); i++) {
      const float x = exact[i], y = found[i];
      if (!isFinite(x) || !isFinite(y)) {
        const bool same = x == y || (x != x && y != y);
        if (!same) sum_->nonFinite++;
        continue;
      }
      const double e = static_cast<double>(x) - static_cast<double>(y);
      errors[i % kSumLanes] += e * e;
      signals[i % kSumLanes] += static_cast<double>(x) * static_cast<double>(x);
      const double magnitude = e < 0 ? -e : e;
      if (magnitude > largest) {
        largest = magnitude;
        largestAt = index + i;
      }
    }
    const auto total = [](double* lanes) {
      for (int i = 0; i < 8; i++) lanes[i] += lanes[i + 8];
      for (int i = 0; i < 4; i++) lanes[i] += lanes[i + 4];
      return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
    };
    const double error = total(errors), signal = total(signals);
    sum_->error.add(error);
    sum_->signal.add(signal);
    sum_->largest.raise(largest, largestAt);
    setLargestBelow();
    addRatio(error, signal, index);
  }

  const int64_t blockSize_;
  ErrorSum* const sum_;
  LaneSum error_, signal_;
  int lots_ = 0;
  float largestBelow_ = 0;
  float worstBelow_ = 0;
  // Of the last lot.
  alignas(64) float errors_[kLanes];
  alignas(64) float signals_[kLanes];
  alignas(64) float differences_[kLanes][kMaxMeasuredBlock];
};

}  // namespace
}  // namespace lathe
