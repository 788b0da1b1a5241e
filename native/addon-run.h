// Programs at the border: start one, ask how far it is, stop it.
#pragma once

#include <node_api.h>

namespace lathe {

// runProgram({ jobs, series, starts, tiles, inputs, outputs, ringBytes, scratchBytes, threads, mapped, flushes, isa })
// → { handle, finished: Promise }; see NativeProgram and NativeRunResult in src/native.ts.
napi_value runProgram(napi_env env, napi_callback_info call);

// progress(handle) → bytes read so far
napi_value progress(napi_env env, napi_callback_info call);

// cancel(handle): every thread stops before its next tile
napi_value cancel(napi_env env, napi_callback_info call);

}  // namespace lathe
