// The tables that exist in this build. A table may be used only where the processor has its instruction set.
#pragma once

#include "kernels.h"

namespace lathe {

extern const KernelTable kPlainKernels;
#if defined(__x86_64__)
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx512Kernels;
#endif

}  // namespace lathe
