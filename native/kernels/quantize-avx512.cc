// The quantizers for AVX-512 (F, BW, DQ, VL). Nothing but the wrapper may be included after the target is set: an inline
// function of another header would be compiled for AVX-512 and might be the one copy the linker keeps.
#include "kernel-tables.h"

#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl")
#endif

// GCC 12 takes the "undefined" operands of its own AVX-512 intrinsics for uninitialized variables.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include "simd-avx512.h"

#include "kernel-list.inc.h"

namespace lathe {

const KernelTable kAvx512Kernels = kernelsNamed("avx512");

}  // namespace lathe

#if defined(__clang__)
#pragma clang attribute pop
#endif

#endif  // __x86_64__
