// The search of Olive's OnnxKQuantQuantization, kLanes blocks at a time; the reference is src/kernels/olive-k-quant.ts.
// Terms of sums are structures, not lambdas: GCC does not compile those for the target of the file.
#pragma once

namespace lathe {
namespace {
namespace olive {

// NumPy keeps so many running sums, and sums at most so many terms in one run.
constexpr int kRunningSums = 8;
constexpr int64_t kPairwiseRun = 128;
constexpr int kSteps = 20;

// NaN stays.
inline Floats clip(Floats value, Floats low, Floats high) { return min(high, max(low, value)); }

// The nearest whole number, ties to even, of a number below 2^22; NaN stays.
inline Floats roundEven(Floats value) {
  const Floats shift = broadcast(0x1.8p23f);
  return subtract(add(value, shift), shift);
}

// Sums of `size` terms in NumPy's pairwise order or, kSingle, in their own. `terms(i, each)` gives term i of each sum.
template <bool kSingle, int kSums, typename Terms>
inline void sumTerms(int64_t first, int64_t size, const Terms& terms, Floats* totals) {
  if constexpr (kSingle) {
    for (int s = 0; s < kSums; s++) totals[s] = broadcast(0.0f);
    for (int64_t i = first; i < first + size; i++) {
      Floats each[kSums];
      terms(i, each);
      for (int s = 0; s < kSums; s++) totals[s] = add(totals[s], each[s]);
    }
    return;
  }
  if (size > kPairwiseRun) {
    Floats second[kSums];
    sumTerms<kSingle, kSums>(first, size / 2, terms, totals);
    sumTerms<kSingle, kSums>(first + size / 2, size / 2, terms, second);
    for (int s = 0; s < kSums; s++) totals[s] = add(totals[s], second[s]);
    return;
  }
  Floats running[kSums][kRunningSums];
  for (int r = 0; r < kRunningSums; r++) {
    Floats sums[kSums];
    terms(first + r, sums);
    for (int64_t i = first + r + kRunningSums; i < first + size; i += kRunningSums) {
      Floats each[kSums];
      terms(i, each);
      for (int s = 0; s < kSums; s++) sums[s] = add(sums[s], each[s]);
    }
    for (int s = 0; s < kSums; s++) running[s][r] = sums[s];
  }
  for (int s = 0; s < kSums; s++) {
    const Floats* const r = running[s];
    totals[s] = add(add(add(r[0], r[1]), add(r[2], r[3])), add(add(r[4], r[5]), add(r[6], r[7])));
  }
}

struct SquareTerms {
  const Floats* x;
  void operator()(int64_t i, Floats* each) const { each[0] = multiply(x[i], x[i]); }
};

struct WeightTerms {
  const Floats* x;
  const Floats* weights;
  void operator()(int64_t i, Floats* each) const {
    each[0] = weights[i];
    each[1] = multiply(weights[i], x[i]);
  }
};

// Sums of a candidate, whose codes are made on the way.
struct FitTerms {
  const Floats* x;
  const Floats* weights;
  Floats* codes;
  Floats inverse, offset, top;
  void operator()(int64_t i, Floats* each) const {
    const Floats position = multiply(inverse, subtract(x[i], offset));
    codes[i] = roundEven(clip(position, broadcast(0.0f), top));
    each[0] = multiply(weights[i], codes[i]);
    each[1] = multiply(each[0], codes[i]);
    each[2] = multiply(each[0], x[i]);
  }
};

struct ErrorTerms {
  const Floats* x;
  const Floats* weights;
  const Floats* codes;
  Floats scale, offset;
  void operator()(int64_t i, Floats* each) const {
    const Floats miss = subtract(add(multiply(scale, codes[i]), offset), x[i]);
    each[0] = multiply(weights[i], multiply(miss, miss));
  }
};

// a * b - c * d
inline Floats crossed(Floats a, Floats b, Floats c, Floats d) { return subtract(multiply(a, b), multiply(c, d)); }

// What turns a range into codes.
inline Floats inverseOf(Floats codes, Floats range) {
  return select(isZero(range), broadcast(1.0f), divide(codes, range));
}

struct Fits {
  float scale[kLanes];
  float offset[kLanes];
};

// Fits of blocks of `size` elements, one a lane. kSingle: each of several channels is one block, and NumPy adds in the
// order of the elements.
template <bool kSingle>
__attribute__((noinline)) void findFits(const Floats* x, int64_t size, float topCode, Fits* fits) {
  alignas(64) Floats weights[kMaxBlockSize], codes[kMaxBlockSize];
  const Floats top = broadcast(topCode);
  Floats squares;
  sumTerms<kSingle, 1>(0, size, SquareTerms{x}, &squares);
  const Floats rms = squareRoot(divide(squares, broadcast(static_cast<float>(size))));
  Floats low = x[0], high = x[0];
  for (int64_t i = 0; i < size; i++) {
    weights[i] = add(rms, absolute(x[i]));
    low = min(low, x[i]);
    high = max(high, x[i]);
  }
  Floats whole[2];
  sumTerms<kSingle, 2>(0, size, WeightTerms{x, weights}, whole);
  const Floats sumW = whole[0], sumX = whole[1];

  Floats offset = low;
  const Floats inverse = inverseOf(top, subtract(high, low));
  Floats scale = divide(broadcast(1.0f), inverse);
  Floats sums[3];
  sumTerms<kSingle, 3>(0, size, FitTerms{x, weights, codes, inverse, low, top}, sums);
  Floats best;
  sumTerms<kSingle, 1>(0, size, ErrorTerms{x, weights, codes, scale, low}, &best);
  for (int step = 0; step < kSteps; step++) {
    const float factor = static_cast<float>(-1 + 0.1 * step + static_cast<double>(topCode));
    const Floats next = inverseOf(broadcast(factor), subtract(high, offset));
    sumTerms<kSingle, 3>(0, size, FitTerms{x, weights, codes, next, offset, top}, sums);
    const Floats divisor = crossed(sumW, sums[1], sums[0], sums[0]);
    const Floats newScale = divide(crossed(sumW, sums[2], sumX, sums[0]), divisor);
    const Floats newOffset = divide(crossed(sums[1], sumX, sums[0], sums[2]), divisor);
    Floats error;
    sumTerms<kSingle, 1>(0, size, ErrorTerms{x, weights, codes, newScale, newOffset}, &error);
    const Mask better = greater(best, error);
    best = select(better, error, best);
    scale = select(better, newScale, scale);
    offset = select(better, newOffset, offset);
  }
  storeFloats(fits->scale, scale);
  storeFloats(fits->offset, offset);
}

}  // namespace olive
}  // namespace
}  // namespace lathe
