#include "tensor-headers.h"

#include <cstring>

#include "wire.h"

namespace lathe {

namespace {

// Columns of a row.
enum Column { kState, kType, kStart, kLength, kLocationStart, kLocationLength, kRank, kPlain, kDims };
constexpr size_t kMaxRank = kRowLength - kDims;

// States. Unusual tensors are read in TypeScript, which knows what is wrong with them, if anything is.
enum State { kUnusual = -1, kNoValue = 0, kRaw = 1, kExternal = 2 };

// Tags: number × 8 + wire type.
enum : uint32_t { kDim = 8, kPackedDims = 10, kDataType = 16, kRawData = 74, kEntry = 106, kDataLocation = 112 };
enum : uint32_t { kKey = 10, kValue = 18 };

constexpr uint64_t kExternalLocation = 1;
// More digits than this may not be exact in a double.
constexpr size_t kMaxDigits = 15;

struct Text {
  size_t start = 0;
  size_t length = 0;
};

struct External {
  bool hasLocation = false;
  Text location;
  double offset = 0;
  double length = 0;
  size_t entries = 0;
  // Whether they are those that this library writes so far.
  bool isPlain = true;
};

// A varint of at most four bytes, as TypeScript reads it without 64-bit arithmetic.
bool readShort(Wire* wire, uint32_t* value) {
  uint32_t sum = 0;
  for (unsigned shift = 0; shift < 28 && wire->position < wire->end; shift += 7) {
    const uint8_t byte = wire->bytes[wire->position++];
    sum |= static_cast<uint32_t>(byte & 127) << shift;
    if (byte >= 128) continue;
    *value = sum;
    return true;
  }
  return false;
}

bool readText(Wire* wire, Text* text) {
  if (!wire->readLength(&text->length)) return false;
  text->start = wire->position;
  return wire->skip(text->length);
}

bool equals(const uint8_t* bytes, const Text& text, const char* expected) {
  const size_t length = std::strlen(expected);
  return text.length == length && std::memcmp(bytes + text.start, expected, length) == 0;
}

bool parseDecimal(const uint8_t* bytes, const Text& text, double* value) {
  if (text.length == 0 || text.length > kMaxDigits) return false;
  double sum = 0;
  for (size_t i = 0; i < text.length; i++) {
    const uint8_t digit = bytes[text.start + i];
    if (digit < '0' || digit > '9') return false;
    sum = sum * 10 + (digit - '0');
  }
  *value = sum;
  return true;
}

// A number in the digits that it is written with.
bool isPlainDecimal(const uint8_t* bytes, const Text& text) { return text.length == 1 || bytes[text.start] != '0'; }

// An entry of external_data. False for keys and values that need a closer look.
bool readEntry(Wire* wire, External* external) {
  Text key, value;
  size_t length;
  if (!wire->readLength(&length)) return false;
  Wire fields = {wire->bytes, wire->position, wire->position + length};
  wire->position = fields.end;
  while (!fields.done()) {
    uint32_t tag;
    if (!fields.readTag(&tag)) return false;
    const bool good = tag == kKey     ? readText(&fields, &key)
                      : tag == kValue ? readText(&fields, &value)
                                      : fields.skipField(tag);
    if (!good) return false;
  }
  const size_t place = external->entries++;
  if (equals(wire->bytes, key, "location")) {
    if (external->hasLocation) return false;
    external->hasLocation = true;
    external->location = value;
    external->isPlain &= place == 0;
    return true;
  }
  const bool isOffset = equals(wire->bytes, key, "offset");
  if (!isOffset && !equals(wire->bytes, key, "length")) return false;
  if (!parseDecimal(wire->bytes, value, isOffset ? &external->offset : &external->length)) return false;
  external->isPlain &= place == (isOffset ? 1u : 2u) && isPlainDecimal(wire->bytes, value);
  return true;
}

bool readDims(Wire* wire, uint32_t tag, double* row, size_t* rank) {
  size_t length = 0;
  if (tag == kPackedDims && !wire->readLength(&length)) return false;
  Wire list = {wire->bytes, wire->position, tag == kPackedDims ? wire->position + length : wire->end};
  while (tag == kDim || !list.done()) {
    uint32_t dim;
    if (*rank == kMaxRank || !readShort(&list, &dim)) return false;
    row[kDims + (*rank)++] = dim;
    if (tag == kDim) break;
  }
  wire->position = list.position;
  return true;
}

bool describe(Wire wire, double* row) {
  External external;
  Text raw;
  size_t rank = 0;
  uint32_t type = 0, location = 0;
  while (!wire.done()) {
    uint32_t tag;
    if (!wire.readTag(&tag)) return false;
    bool good;
    if (tag == kDim || tag == kPackedDims) {
      good = readDims(&wire, tag, row, &rank);
    } else if (tag == kDataType) {
      good = readShort(&wire, &type);
    } else if (tag == kDataLocation) {
      good = readShort(&wire, &location);
    } else if (tag == kRawData) {
      good = readText(&wire, &raw);
    } else if (tag == kEntry) {
      good = readEntry(&wire, &external);
    } else {
      good = wire.skipField(tag);
    }
    if (!good) return false;
  }
  const bool isExternal = location == kExternalLocation;
  if (isExternal && !external.hasLocation) return false;
  row[kState] = isExternal ? kExternal : raw.length > 0 ? kRaw : kNoValue;
  row[kType] = type;
  row[kStart] = isExternal ? external.offset : static_cast<double>(raw.start);
  row[kLength] = isExternal ? external.length : static_cast<double>(raw.length);
  row[kLocationStart] = static_cast<double>(external.location.start);
  row[kLocationLength] = static_cast<double>(external.location.length);
  row[kRank] = static_cast<double>(rank);
  row[kPlain] = isExternal && external.isPlain && external.entries == 3;
  return true;
}

}  // namespace

void describeTensors(const uint8_t* bytes, size_t byteLength, const int32_t* places, size_t count, double* rows) {
  // Most tensors lie in one file: a location that is that of the tensor before is told by where that one begins.
  Text known;
  for (size_t i = 0; i < count; i++, rows += kRowLength) {
    const int32_t mark = places[3 * i], start = places[3 * i + 1], end = places[3 * i + 2];
    const bool isPlace = mark >= 0 && start >= 0 && start <= end && static_cast<size_t>(end) <= byteLength;
    const Wire wire = {bytes, static_cast<size_t>(start), static_cast<size_t>(end)};
    if (!isPlace || !describe(wire, rows)) {
      rows[kState] = kUnusual;
      continue;
    }
    const Text location = {static_cast<size_t>(rows[kLocationStart]), static_cast<size_t>(rows[kLocationLength])};
    if (location.length == 0) continue;
    const bool isKnown =
        location.length == known.length && std::memcmp(bytes + location.start, bytes + known.start, known.length) == 0;
    if (isKnown) rows[kLocationStart] = static_cast<double>(known.start);
    else known = location;
  }
}

}  // namespace lathe
