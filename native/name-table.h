// Names by number, interned by their bytes: the twin of src/proto/name-table.ts.
#pragma once

#include <cstddef>
#include <cstdint>

#include "numbers.h"

namespace lathe {

constexpr int32_t kNoName = 0;
// Numbers a name: start, length, hash.
constexpr size_t kNameLength = 3;

// The tables are JavaScript's until they need more room.
struct NameTable {
  // What names are places of.
  const uint8_t* bytes;
  size_t byteLength;
  uint32_t hashBasis;
  Numbers names;
  // Open addressing, at most half full; its capacity is a power of two.
  Numbers slots;
};

// Adds to a name table.
class NameInterner {
 public:
  explicit NameInterner(NameTable* table);

  // Makes room for so many names at once; false when there is no memory.
  bool reserve(size_t count);
  // The number of the name at `start`, which lies within the bytes. False when there is no memory, or the tables are odd.
  bool intern(size_t start, size_t length, int32_t* id);
  // Takes every new name out of the slots that JavaScript gave.
  void restoreSlots();

 private:
  bool spread(size_t room);

  NameTable& table_;
  const size_t firstCount_;
};

}  // namespace lathe
