// Where the messages of a graph are and what they are called, found in its bytes: the twin of src/proto/graph-index.ts,
// which says what the tables mean. Plain C++ without Node. Every byte is a stranger's.
#pragma once

#include <cstddef>
#include <cstdint>

#include "name-table.h"
#include "numbers.h"

namespace lathe {

constexpr size_t kListCount = 5;
// Bytes of a token that stands for raw_data.
constexpr size_t kTokenLength = 20;

struct GraphTables {
  // The bytes are in it.
  NameTable names;
  Numbers tape;
  const uint8_t* tokenPrefix;
  size_t tokenPrefixLength;
};

struct GraphPlaces {
  size_t at = 0;
  int32_t counts[kListCount] = {};
  Numbers others;
};

// Indexes the graph at `start` to `end`, which lie within the bytes. False where it is damaged, odd or too large: then
// the slots are as they were.
bool indexGraph(GraphTables* tables, size_t start, size_t end, const int32_t fields[kListCount], GraphPlaces* places);

}  // namespace lathe
