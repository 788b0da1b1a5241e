// Types, shapes and places of tensors: the twin of readTensorHeader in src/proto/headers.ts for what writers make. Plain C++
// without Node. Every byte is a stranger's.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lathe {

// Doubles a tensor takes, in the order of ROW in src/proto/tensor-headers.ts: state, type, start and length of the value,
// start and length of the location in the graph, rank, whether the entries of external_data are those that this library
// writes, dimensions.
constexpr size_t kRowLength = 16;

// Describes the tensors at `places`, three numbers each: mark, start, end.
void describeTensors(const uint8_t* bytes, size_t byteLength, const int32_t* places, size_t count, double* rows);

}  // namespace lathe
