#include "name-table.h"

namespace lathe {

namespace {

uint32_t readWord(const uint8_t* bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | uint32_t{bytes[3]};
}

// hashOf of src/proto/name-table.ts.
uint32_t hashOf(uint32_t basis, const uint8_t* bytes, size_t length) {
  constexpr uint32_t kMix = 0xcc9e2d51, kFinish = 0x85ebca6b;
  uint32_t hash = basis ^ static_cast<uint32_t>(length);
  if (length < 4) {
    for (size_t i = 0; i < length; i++) hash = (hash ^ bytes[i]) * kMix;
  } else {
    for (size_t i = 0; i < length - 4; i += 4) {
      hash = (hash ^ readWord(bytes + i)) * kMix;
      hash ^= hash >> 15;
    }
    hash = (hash ^ readWord(bytes + length - 4)) * kMix;
  }
  hash = (hash ^ (hash >> 16)) * kFinish;
  return hash ^ (hash >> 13);
}

}  // namespace

NameInterner::NameInterner(NameTable* table) : table_(*table), firstCount_(table->names.length() / kNameLength) {}

bool NameInterner::reserve(size_t count) {
  size_t room = table_.slots.capacity();
  while (room < count) room *= 2;
  return room == table_.slots.capacity() || spread(room);
}

bool NameInterner::intern(size_t start, size_t length, int32_t* id) {
  Numbers& names = table_.names;
  Numbers& slots = table_.slots;
  const size_t count = names.length() / kNameLength;
  if (count * 2 >= slots.capacity() && !spread(slots.capacity() * 2)) return false;
  const uint8_t* const bytes = table_.bytes + start;
  const uint32_t hash = hashOf(table_.hashBasis, bytes, length);
  const size_t mask = slots.capacity() - 1;
  size_t slot = hash & mask;
  // At most half of the slots are taken, if they are what JavaScript says; if not, this ends all the same.
  for (size_t steps = 0; slots[slot] != 0; slot = (slot + 1) & mask) {
    const size_t known = static_cast<uint32_t>(slots[slot]);
    if (known >= count || ++steps > mask) return false;
    const int32_t* const name = names.data() + known * kNameLength;
    if (static_cast<uint32_t>(name[2]) != hash || static_cast<uint32_t>(name[1]) != length) continue;
    const size_t knownStart = static_cast<uint32_t>(name[0]);
    if (knownStart > table_.byteLength || length > table_.byteLength - knownStart) return false;
    if (std::memcmp(table_.bytes + knownStart, bytes, length) != 0) continue;
    *id = static_cast<int32_t>(known);
    return true;
  }
  if (!names.push(static_cast<int32_t>(start)) || !names.push(static_cast<int32_t>(length)) ||
      !names.push(static_cast<int32_t>(hash))) {
    return false;
  }
  *id = slots[slot] = static_cast<int32_t>(count);
  return true;
}

// They leave in the reverse order, so that no chain of slots is cut.
void NameInterner::restoreSlots() {
  Numbers& names = table_.names;
  Numbers& slots = table_.slots;
  if (slots.owned()) return;
  const size_t mask = slots.capacity() - 1;
  for (size_t id = names.length() / kNameLength; id-- > firstCount_;) {
    size_t slot = static_cast<uint32_t>(names[id * kNameLength + 2]) & mask;
    for (size_t steps = 0; slots[slot] != static_cast<int32_t>(id) && steps <= mask; steps++) slot = (slot + 1) & mask;
    if (slots[slot] == static_cast<int32_t>(id)) slots[slot] = 0;
  }
}

// Moves the names to `room` slots, a power of two.
bool NameInterner::spread(size_t room) {
  Numbers& names = table_.names;
  Numbers larger;
  if (!larger.clear(room)) return false;
  const size_t mask = larger.capacity() - 1;
  for (size_t id = 1; id < names.length() / kNameLength; id++) {
    size_t slot = static_cast<uint32_t>(names[id * kNameLength + 2]) & mask;
    while (larger[slot] != 0) slot = (slot + 1) & mask;
    larger[slot] = static_cast<int32_t>(id);
  }
  restoreSlots();
  table_.slots = std::move(larger);
  return true;
}

}  // namespace lathe
