// Four lanes of GCC/Clang vector extensions, and the words for them that the extensions lack. What a processor has an
// instruction for is in a file for it, which offers the same names as the others; what they promise is written in
// plain-generic.h.
#pragma once

#include "kernels.h"

namespace lathe {
namespace {

constexpr int kLanes = 4;

// Ints also carry raw bytes: kLanes * 4 bytes of elements as they lie in memory.
typedef float Floats __attribute__((vector_size(16)));
typedef int32_t Ints __attribute__((vector_size(16)));
typedef Ints Mask;  // all ones or all zeros per lane
typedef int16_t Shorts __attribute__((vector_size(16)));
typedef uint8_t Bytes __attribute__((vector_size(16)));

inline Ints bitsOf(Floats x) { return reinterpret_cast<Ints>(x); }
inline Floats fromBits(Ints x) { return reinterpret_cast<Floats>(x); }
inline Shorts shortsOf(Ints x) { return reinterpret_cast<Shorts>(x); }
inline Ints fromShorts(Shorts x) { return reinterpret_cast<Ints>(x); }
inline Floats broadcast(float x) { return Floats{x, x, x, x}; }
inline Ints broadcastInt(int32_t x) { return Ints{x, x, x, x}; }

}  // namespace
}  // namespace lathe

#if defined(__SSE2__)
#include "plain-sse2.h"
#elif defined(__aarch64__)
#include "plain-neon.h"
#elif defined(__wasm_simd128__)
#include "plain-wasm.h"
#else
#include "plain-generic.h"
#endif
