// Looks for a better scale and zero point than those of the extremes, kLanes blocks at a time. Elements are taken in
// units of 1/4096 of the block's range, as 16-bit integers, two of a block in each lane: then sums of products are
// exact, whatever their order, and every instruction set finds the same. Needs quantize-block.inc.h's elements.
#pragma once

namespace lathe {
namespace {

constexpr float kUnits = 4096.0f;
// A block whose range is beyond these keeps the scale of its extremes: its inverse would leave binary32.
constexpr float kSmallestRange = 0x1p-100f;
constexpr float kLargestRange = 0x1p100f;

constexpr int kCandidates = 6;
// Candidates are steps of range / (top + offset), offsets in eighths, from kFirstOffset on in kOffsetStep. The finer
// the codes, the less clipping an extreme costs or wins.
template <int kBits>
constexpr int kFirstOffset = kBits == 2 ? -4 : kBits == 4 ? -12 : -28;
template <int kBits>
constexpr int kOffsetStep = kBits == 2 ? 3 : kBits == 4 ? 6 : 12;

// Weights are (rms + |x|) in units, shifted down so that sixteen products of one with a code and an element stay
// below 2^31.
template <int kBits>
constexpr int kWeightShift = kBits == 8 ? 6 : 2;
constexpr int64_t kWeightedPairs = 8;

// The best so far: for codes d (less the zero point) and elements x, `product` is the sum of x * d and `square` that
// of d * d. The step that fits best is product / square, and product^2 / square is what it takes off the error; two of
// these are compared without dividing.
struct Fit {
  Floats product;
  Floats square;
  Ints zeroPoint;  // in both halves
};

inline Ints twice(Ints x) { return joinPairs(x, shiftUp(x)); }

// Candidates that are tried in one pass over the units, which then are loaded once for all of them.
constexpr int kTogether = 3;
struct Candidate {
  Ints factor;
  Ints zeroPoint;
};

template <int kBits, bool kWeighted>
inline void tryCandidates(const Ints* units, const Ints* weights, int64_t pairs, const Candidate* candidates,
                          Fit* best) {
  Ints lowest[kTogether], highest[kTogether];
  Floats product[kTogether], square[kTogether];
  for (int i = 0; i < kTogether; i++) {
    lowest[i] = subtractPairs(broadcastInt(0), candidates[i].zeroPoint);
    highest[i] = subtractPairs(broadcastPair((1 << kBits) - 1), candidates[i].zeroPoint);
    product[i] = square[i] = broadcast(0.0f);
  }
  const int64_t run = kWeighted ? kWeightedPairs : pairs;
  for (int64_t first = 0; first < pairs; first += run) {
    Ints products[kTogether], squares[kTogether];
    for (int i = 0; i < kTogether; i++) products[i] = squares[i] = broadcastInt(0);
    for (int64_t pair = first; pair < first + run; pair++) {
      const Ints unit = units[pair];
      for (int i = 0; i < kTogether; i++) {
        const Ints code = minPairs(maxPairs(scalePairs(unit, candidates[i].factor), lowest[i]), highest[i]);
        const Ints weighted = kWeighted ? multiplyPairs(code, weights[pair]) : code;
        products[i] = addInts(products[i], sumProducts(weighted, unit));
        squares[i] = addInts(squares[i], sumProducts(weighted, code));
      }
    }
    for (int i = 0; i < kTogether; i++) {
      product[i] = add(product[i], toFloats(products[i]));
      square[i] = add(square[i], toFloats(squares[i]));
    }
  }
  for (int i = 0; i < kTogether; i++) {
    // No product of these reaches 2^102. A negative one makes a negative square, and is never better.
    const Floats gain = multiply(multiply(product[i], absolute(product[i])), best->square);
    const Mask better = greater(gain, multiply(multiply(best->product, best->product), square[i]));
    best->product = select(better, product[i], best->product);
    best->square = select(better, square[i], best->square);
    best->zeroPoint = selectInts(better, candidates[i].zeroPoint, best->zeroPoint);
  }
}

// Weights of `elements` elements a block; what lies beyond them is zero.
template <int kBits>
__attribute__((noinline)) void weigh(const Ints* units, int64_t pairs, int64_t elements, Ints* weights) {
  Floats squares = broadcast(0.0f);
  for (int64_t first = 0; first < pairs; first += kWeightedPairs) {
    Ints sum = broadcastInt(0);
    for (int64_t pair = first; pair < first + kWeightedPairs; pair++) {
      sum = addInts(sum, sumProducts(units[pair], units[pair]));
    }
    squares = add(squares, toFloats(sum));
  }
  const Ints rms = twice(roundNear(squareRoot(divide(squares, broadcast(static_cast<float>(elements))))));
  for (int64_t pair = 0; pair < pairs; pair++) {
    weights[pair] = shiftPairsDown<kWeightShift<kBits>>(addPairs(rms, absolutePairs(units[pair])));
  }
}

// All candidates of a block: `lowest` is its least element in units, negated.
template <int kBits, bool kWeighted>
__attribute__((noinline)) Fit findFit(const Ints* units, const Ints* weights, int64_t pairs, bool symmetric, Ints lowest) {
  const Ints zero = broadcastInt(0);
  const Ints top = broadcastPair((1 << kBits) - 1);
  const int first = (symmetric ? 1 << (kBits - 1) : (1 << kBits) - 1) * 8 + kFirstOffset<kBits>;
  Fit best = {broadcast(0.0f), broadcast(1.0f), broadcastPair(1 << (kBits - 1))};
  const Ints middle = best.zeroPoint;
  Candidate candidates[kTogether];
  for (int done = 0; done < kCandidates; done += kTogether) {
    for (int i = 0; i < kTogether; i++) {
      const Ints factor = broadcastPair(static_cast<int16_t>(first + (done + i) * kOffsetStep<kBits>));
      const Ints zeroPoint = symmetric ? middle : minPairs(maxPairs(scalePairs(lowest, factor), zero), top);
      candidates[i] = {factor, zeroPoint};
    }
    tryCandidates<kBits, kWeighted>(units, weights, pairs, candidates, &best);
  }
  if (symmetric) return best;
  // The step that fits the best candidate's codes, with its zero point and the two beside it.
  const Floats exact = multiply(divide(best.square, best.product), broadcast(8 * kUnits));
  const Ints factor = twice(roundNear(min(max(exact, broadcast(1.0f)), broadcast(32767.0f))));
  const Ints one = broadcastPair(1);
  candidates[0] = {factor, maxPairs(subtractPairs(best.zeroPoint, one), zero)};
  candidates[1] = {factor, best.zeroPoint};
  candidates[2] = {factor, minPairs(addPairs(best.zeroPoint, one), top)};
  tryCandidates<kBits, kWeighted>(units, weights, pairs, candidates, &best);
  return best;
}

// Units of a pair of elements of each block.
inline Ints unitPair(Floats even, Floats odd, Floats inverse) {
  return joinPairs(roundNear(multiply(even, inverse)), shiftUp(roundNear(multiply(odd, inverse))));
}

// Replaces scales and zero points of kLanes blocks by better ones, where there are any. `range` is the block's extent
// (symmetric: its peak, negated), `low` its least element or 0; `stage` makes units of the elements, given the factor
// that does, for whole blocks. `elements` is how many a block has.
template <int kBits, typename Stage>
inline void searchFit(const QuantizeParams& params, int64_t elements, Floats range, Floats low, Stage stage,
                      Floats* scale, Floats* zeroPoint) {
  const Floats zero = broadcast(0.0f);
  const Floats extent = absolute(range);
  const Floats wanted = select(greater(broadcast(kLargestRange), extent), divide(broadcast(kUnits), range), zero);
  const Floats inverse = select(greater(extent, broadcast(kSmallestRange)), wanted, zero);
  alignas(64) Ints units[kMaxBlockSize / 2];
  const int64_t pairs = params.blockSize / 2;
  stage(inverse, units);
  if (elements < params.blockSize) {
    if (elements % 2 != 0) units[elements / 2] = bitAnd(units[elements / 2], broadcastInt(0xffff));
    for (int64_t pair = (elements + 1) / 2; pair < pairs; pair++) units[pair] = broadcastInt(0);
  }
  const Ints lowest = subtractPairs(broadcastInt(0), twice(roundNear(multiply(low, inverse))));
  Fit fit;
  if (params.method == QuantizeMethod::kKQuant) {
    alignas(64) Ints weights[kMaxBlockSize / 2];
    weigh<kBits>(units, pairs, elements, weights);
    fit = findFit<kBits, true>(units, weights, pairs, params.symmetric, lowest);
  } else {
    fit = findFit<kBits, false>(units, nullptr, pairs, params.symmetric, lowest);
  }
  const Mask found = greater(fit.product, zero);
  const Floats unit = multiply(range, broadcast(1.0f / kUnits));
  *scale = select(found, multiply(divide(fit.product, fit.square), unit), *scale);
  *zeroPoint = select(found, toFloats(bitAnd(fit.zeroPoint, broadcastInt(0xffff))), *zeroPoint);
}

}  // namespace
}  // namespace lathe
