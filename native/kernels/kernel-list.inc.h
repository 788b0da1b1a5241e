// The entries of a kernel table, of one instruction set: its simd-*.h before this.
#pragma once

#include "cast.inc.h"
#include "measure.inc.h"
#include "quantize-columns.inc.h"
#include "quantize-olive.inc.h"
#include "quantize-rows.inc.h"

namespace lathe {
namespace {

constexpr KernelTable kernelsNamed(const char* name) {
  return {
      name,         quantizeRows, quantizeColumns,   measureRows,          measureColumns, measureBlocks,
      castFloats,   measureCast,  quantizeOliveRows, quantizeOliveColumns,
  };
}

}  // namespace
}  // namespace lathe
