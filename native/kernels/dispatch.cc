// Which instruction set the quantizers use.
#include <cstring>

#include "kernel-tables.h"

namespace lathe {

namespace {

bool supported(const KernelTable& table) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (&table == &kAvx512Kernels) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  }
  if (&table == &kAvx2Kernels) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c");
#endif
  return &table == &kPlainKernels;
}

}  // namespace

const KernelTable* kernelTable(const char* isa) {
  // Fastest first.
  static const KernelTable* const tables[] = {
#if defined(__x86_64__)
      &kAvx512Kernels,
      &kAvx2Kernels,
#endif
      &kPlainKernels,
  };
  for (const KernelTable* table : tables) {
    if (isa != nullptr && std::strcmp(isa, table->name) != 0) continue;
    if (supported(*table)) return table;
  }
  return nullptr;
}

}  // namespace lathe
