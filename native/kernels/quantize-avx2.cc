// The quantizers for AVX2 with F16C. Nothing but the wrapper may be included after the target is set: an inline
// function of another header would be compiled for AVX2 and might be the one copy the linker keeps.
#include "kernel-tables.h"

#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,f16c"))), apply_to = function)
#else
#pragma GCC target("avx2,f16c")
#endif

#include "simd-avx2.h"

#include "kernel-list.inc.h"

namespace lathe {

const KernelTable kAvx2Kernels = kernelsNamed("avx2");

}  // namespace lathe

#if defined(__clang__)
#pragma clang attribute pop
#endif

#endif  // __x86_64__
