// The quantizers for any processor: four lanes in the instruction set the compiler assumes anyway.
#include "kernel-tables.h"
#include "simd-plain.h"

#include "kernel-list.inc.h"

namespace lathe {

const KernelTable kPlainKernels = kernelsNamed("plain");

}  // namespace lathe
