// Which kernel a method has: Olive's are beside those of the others.
#include "kernels.h"

namespace lathe {

namespace {

// Where an odd channel ends at 4 bits, ONNX Runtime leaves in the slot beside its last code what was last there: the
// code before that one, of the pair of blocks whose zero points share a byte, or 0.
void repeatOlderCodes(const QuantizeParams& params, int64_t elements, int64_t channels, const QuantizeOutput& out) {
  if (params.bits != 4 || elements % 2 == 0) return;
  const int64_t lastBlock = (elements - 1) / params.blockSize;
  if (elements % params.blockSize == 1 && lastBlock % 2 == 0) return;
  for (int64_t channel = 0; channel < channels; channel++) {
    uint8_t* const last = out.codes + channel * out.codesStride + (elements - 1) / 2;
    *last = static_cast<uint8_t>((*last & 0x0f) | (last[-1] & 0xf0));
  }
}

QuantizeParams asRtn(QuantizeParams params) {
  params.method = QuantizeMethod::kRtn;
  return params;
}

bool isOlive(QuantizeMethod method) { return method >= QuantizeMethod::kOliveRtn; }

}  // namespace

ElementIndex quantizeRowsWith(const KernelTable& table, const QuantizeParams& params, const uint8_t* src,
                              int64_t channels, const QuantizeOutput& out) {
  if (!isOlive(params.method)) return table.quantizeRows(params, src, channels, out);
  if (params.method != QuantizeMethod::kOliveRtn) return table.quantizeOliveRows(params, src, channels, out);
  const ElementIndex hit = table.quantizeRows(asRtn(params), src, channels, out);
  if (hit < 0) repeatOlderCodes(params, params.k, channels, out);
  return hit;
}

ElementIndex quantizeColumnsWith(const KernelTable& table, const QuantizeParams& params, const uint8_t* src,
                                 int64_t rowStride, int64_t rows, int64_t columns, const QuantizeOutput& out) {
  if (!isOlive(params.method)) return table.quantizeColumns(params, src, rowStride, rows, columns, out);
  if (params.method != QuantizeMethod::kOliveRtn) {
    return table.quantizeOliveColumns(params, src, rowStride, rows, columns, out);
  }
  const ElementIndex hit = table.quantizeColumns(asRtn(params), src, rowStride, rows, columns, out);
  if (hit < 0) repeatOlderCodes(params, rows, columns, out);
  return hit;
}

}  // namespace lathe
