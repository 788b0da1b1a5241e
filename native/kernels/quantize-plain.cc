// The quantizers for any processor: four lanes in the instruction set the compiler assumes anyway.
#include "kernel-tables.h"
#include "simd-plain.h"

#include "cast.inc.h"
#include "quantize-columns.inc.h"
#include "quantize-rows.inc.h"

#include "quantize-olive.inc.h"

namespace lathe {

const KernelTable kPlainKernels = {"plain", quantizeRows, quantizeColumns, quantizeOliveRows,
                                   quantizeOliveColumns, castFloats, measureCast};

}  // namespace lathe
