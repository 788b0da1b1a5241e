// Models at the border: leave their payloads out, find where their messages are.
#pragma once

#include <node_api.h>

namespace lathe {

// indexGraph({ bytes, start, end, fields, tape, tapeLength, names, nameCount, slots, hashBasis, tokenPrefix })
// → { tape, tapeLength, names, nameCount, slots, at, counts, others } or undefined; see NativeGraph and
// NativeGraphIndex in src/native.ts.
napi_value indexGraph(napi_env env, napi_callback_info call);

// scanModel({ bytes | fd, byteLength, layout, wholeBelow, limits, nonce }) → { bytes, payloads } or undefined; see
// NativeScan and NativeSkeleton in src/native.ts.
napi_value scanModel(napi_env env, napi_callback_info call);

// describeTensors(bytes, tape, at, rows): describes as many tensors as rows have room for, from place `at` on
napi_value describeTensors(napi_env env, napi_callback_info call);

}  // namespace lathe
