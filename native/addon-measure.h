// Measuring at the border: how far two weights that were read into memory are from each other.
#pragma once

#include <node_api.h>

namespace lathe {

// unpackNumbers(isa, format, bytes, skipped, to): the elements of `to`, which `skipped` ones come before in `bytes`; see
// NativeElements in src/native.ts.
napi_value unpackNumbers(napi_env env, napi_callback_info call);

// measureBand({ isa, exact, found, channels, elements, blockSize, first, channelStride }) → kErrorFields numbers; see
// NativeBand in src/native.ts.
napi_value measureBand(napi_env env, napi_callback_info call);

}  // namespace lathe
