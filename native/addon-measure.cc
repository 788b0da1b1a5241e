#include "addon-measure.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/kernels.h"
#include "values.h"

namespace lathe {

namespace {

constexpr int64_t kLargestExtent = int64_t{1} << 31;  // keeps products from overflowing
constexpr double kLargestIndex = 9007199254740991.0;     // of an element, as JavaScript counts
constexpr int64_t kDecodedChannels = 16;               // a cache line of a matrix that is stored [K, N]

// Numbers of a matrix, `channelPitch` from channel to channel and `pitch` along one.
struct Numbers {
  const float* floats = nullptr;
  const int8_t* codes = nullptr;
  const uint8_t* unsignedCodes = nullptr;
  size_t length = 0;
  int64_t channelPitch = 0, pitch = 0;

  bool read(napi_env env, napi_value part) {
    const napi_value numbers = get(env, part, "numbers");
    if (!toArray(env, numbers, napi_float32_array, &floats, &length)) floats = nullptr;
    if (!toArray(env, numbers, napi_int8_array, &codes, &length)) codes = nullptr;
    if (!toArray(env, numbers, napi_uint8_array, &unsignedCodes, &length)) unsignedCodes = nullptr;
    return (floats != nullptr || codes != nullptr || unsignedCodes != nullptr || length == 0) &&
           toInteger(env, get(env, part, "channelPitch"), &channelPitch) &&
           toInteger(env, get(env, part, "pitch"), &pitch) && channelPitch >= 1 && pitch >= 1 &&
           channelPitch < kLargestExtent && pitch < kLargestExtent;
  }

  bool has(int64_t channels, int64_t count) const {
    return (channels - 1) * channelPitch + (count - 1) * pitch < static_cast<int64_t>(length);
  }

  float at(int64_t index) const {
    if (floats != nullptr) return floats[index];
    return codes != nullptr ? codes[index] : unsignedCodes[index];
  }
};

// A band of a weight: floats, or codes with their scales and zero points. `offset` elements of its first block lie
// before it.
struct Operand {
  Numbers values, scales, zeroPoints;
  bool hasBlocks = false, hasZeroPoints = false;
  int64_t blockSize = 1, offset = 0;
  float zeroPoint = 0;

  // Null, or what is wrong.
  const char* read(napi_env env, napi_value operand, int64_t channels, int64_t elements) {
    if (!values.read(env, get(env, operand, "values")) || !values.has(channels, elements)) return "values";
    const napi_value blocks = get(env, operand, "blocks");
    hasBlocks = isObject(env, blocks);
    if (!hasBlocks) return values.floats == nullptr ? "values" : nullptr;
    int64_t point;
    if (!toInteger(env, get(env, blocks, "blockSize"), &blockSize) || blockSize < 1 || blockSize > kLargestExtent ||
        !toInteger(env, get(env, blocks, "offset"), &offset) || offset < 0 || offset >= blockSize ||
        !toInteger(env, get(env, blocks, "zeroPoint"), &point)) {
      return "blocks";
    }
    zeroPoint = static_cast<float>(point);
    const int64_t count = (offset + elements + blockSize - 1) / blockSize;
    if (!scales.read(env, get(env, blocks, "scales")) || !scales.has(channels, count)) return "scales";
    const napi_value points = get(env, blocks, "zeroPoints");
    hasZeroPoints = isObject(env, points);
    if (hasZeroPoints && (!zeroPoints.read(env, points) || !zeroPoints.has(channels, count))) return "zeroPoints";
    return nullptr;
  }

  // What the elements of `count` channels stand for, `step` numbers from channel to channel.
  void decode(int64_t first, int64_t count, int64_t elements, float* to, int64_t step) const {
    if (hasBlocks) {
      for (int64_t channel = 0; channel < count; channel++) decodeBlocks(first + channel, elements, to + channel * step);
      return;
    }
    const float* const from = values.floats + first * values.channelPitch;
    if (values.pitch == 1) {
      for (int64_t channel = 0; channel < count; channel++) {
        memcpy(to + channel * step, from + channel * values.channelPitch, static_cast<size_t>(elements) * sizeof *to);
      }
      return;
    }
    // A line of the matrix after another: going down one column at a time would fetch each line once per channel.
    for (int64_t i = 0; i < elements; i++) {
      for (int64_t channel = 0; channel < count; channel++) {
        to[channel * step + i] = from[i * values.pitch + channel * values.channelPitch];
      }
    }
  }

 private:
  void decodeBlocks(int64_t channel, int64_t elements, float* to) const {
    const int64_t start = channel * values.channelPitch;
    int64_t end;
    for (int64_t i = 0; i < elements; i = end) {
      const int64_t block = (offset + i) / blockSize;
      end = std::min(elements, (block + 1) * blockSize - offset);
      const float scale = scales.at(channel * scales.channelPitch + block * scales.pitch);
      const float point =
          hasZeroPoints ? zeroPoints.at(channel * zeroPoints.channelPitch + block * zeroPoints.pitch) : zeroPoint;
      const int64_t from = start + i * values.pitch;
      if (values.codes != nullptr) {
        scaled(values.codes + from, end - i, scale, point, to + i);
      } else if (values.unsignedCodes != nullptr) {
        scaled(values.unsignedCodes + from, end - i, scale, point, to + i);
      } else {
        scaled(values.floats + from, end - i, scale, point, to + i);
      }
    }
  }

  static bool isObject(napi_env env, napi_value value) {
    napi_valuetype type;
    return value != nullptr && napi_typeof(env, value, &type) == napi_ok && type == napi_object;
  }

  template <typename Code>
  void scaled(const Code* from, int64_t count, float scale, float point, float* to) const {
    if (values.pitch == 1) {
      for (int64_t i = 0; i < count; i++) to[i] = (static_cast<float>(from[i]) - point) * scale;
    } else {
      for (int64_t i = 0; i < count; i++) to[i] = (static_cast<float>(from[i * values.pitch]) - point) * scale;
    }
  }
};

// Codes of `bits` as numbers, in two's complement where they are signed.
template <int kBits, typename Code>
void unpackCodesOf(const uint8_t* bytes, int64_t skipped, size_t count, Code* to) {
  constexpr int kHalf = std::is_signed<Code>::value ? 1 << (kBits - 1) : 0;
  for (size_t i = 0; i < count; i++) {
    const size_t at = (static_cast<size_t>(skipped) + i) * kBits;
    to[i] = static_cast<Code>(((bytes[at / 8] >> (at % 8) & ((1 << kBits) - 1)) ^ kHalf) - kHalf);
  }
}

template <typename Code>
void unpackCodes(const uint8_t* bytes, int64_t bits, int64_t skipped, size_t count, Code* to) {
  if (bits == 2) return unpackCodesOf<2>(bytes, skipped, count, to);
  if (bits == 4) return unpackCodesOf<4>(bytes, skipped, count, to);
  unpackCodesOf<8>(bytes, skipped, count, to);
}

// Floats of `type` as binary32.
void unpackFloats(const KernelTable& kernels, FloatType type, const uint8_t* bytes, size_t count, float* to) {
  if (type == FloatType::kFloat32) {
    memcpy(to, bytes, count * sizeof *to);
  } else {
    kernels.castFloats({type, FloatType::kFloat32, false}, bytes, static_cast<int64_t>(count),
                       reinterpret_cast<uint8_t*>(to));
  }
}

}  // namespace

napi_value unpackNumbers(napi_env env, napi_callback_info call) {
  const Arguments arguments(env, call);
  std::string isa, kind;
  const uint8_t* bytes;
  size_t byteLength;
  int64_t skipped, bits = 0, type = 0;
  if (!toString(env, arguments[0], &isa)) return throwArgument(env, "isa");
  const KernelTable* const kernels = kernelTable(isa.c_str());
  if (kernels == nullptr) return throwArgument(env, "isa");
  const napi_value format = arguments[1];
  if (!toString(env, get(env, format, "kind"), &kind) || (kind != "float" && kind != "code")) {
    return throwArgument(env, "format");
  }
  if (!toArray(env, arguments[2], napi_uint8_array, &bytes, &byteLength)) return throwArgument(env, "bytes");
  if (!toInteger(env, arguments[3], &skipped) || skipped < 0 || skipped > kLargestExtent) {
    return throwArgument(env, "skipped");
  }
  const auto holds = [byteLength](double elements, double elementBits) {
    return elements * elementBits <= static_cast<double>(byteLength) * 8;
  };
  size_t count;
  if (kind == "float") {
    const float* to;
    if (!toInteger(env, get(env, format, "type"), &type) || (type != 1 && type != 10 && type != 16) || skipped != 0) {
      return throwArgument(env, "format");
    }
    if (!toArray(env, arguments[4], napi_float32_array, &to, &count)) return throwArgument(env, "to");
    const FloatType floatType = static_cast<FloatType>(type);
    if (!holds(static_cast<double>(count), floatType == FloatType::kFloat32 ? 32 : 16)) return throwArgument(env, "bytes");
    unpackFloats(*kernels, floatType, bytes, count, const_cast<float*>(to));
    return undefined(env);
  }
  if (!toInteger(env, get(env, format, "bits"), &bits) || (bits != 2 && bits != 4 && bits != 8)) {
    return throwArgument(env, "format");
  }
  const int8_t* toSigned;
  const uint8_t* toUnsigned;
  const bool isSigned = toArray(env, arguments[4], napi_int8_array, &toSigned, &count);
  if (!isSigned && !toArray(env, arguments[4], napi_uint8_array, &toUnsigned, &count)) return throwArgument(env, "to");
  if (!holds(static_cast<double>(skipped) + static_cast<double>(count), static_cast<double>(bits))) {
    return throwArgument(env, "bytes");
  }
  if (isSigned) {
    unpackCodes(bytes, bits, skipped, count, const_cast<int8_t*>(toSigned));
  } else {
    unpackCodes(bytes, bits, skipped, count, const_cast<uint8_t*>(toUnsigned));
  }
  return undefined(env);
}

napi_value measureBand(napi_env env, napi_callback_info call) {
  const Arguments arguments(env, call);
  const napi_value band = arguments[0];
  std::string isa;
  if (!toString(env, get(env, band, "isa"), &isa)) return throwArgument(env, "isa");
  const KernelTable* const kernels = kernelTable(isa.c_str());
  if (kernels == nullptr) return throwArgument(env, "isa");
  int64_t channels, elements, blockSize;
  ErrorPlace place;
  if (!toInteger(env, get(env, band, "channels"), &channels) || channels < 1 || channels > kLargestExtent ||
      !toInteger(env, get(env, band, "elements"), &elements) || elements < 1 || elements > kLargestExtent ||
      !toInteger(env, get(env, band, "first"), &place.first) || place.first < 0 ||
      !toInteger(env, get(env, band, "channelStride"), &place.channelStride) || place.channelStride < 0 ||
      static_cast<double>(channels) * static_cast<double>(place.channelStride) > kLargestIndex) {
    return throwArgument(env, "extent");
  }
  if (!toInteger(env, get(env, band, "blockSize"), &blockSize) || blockSize < 16 || blockSize > 256 ||
      (blockSize & (blockSize - 1)) != 0) {
    return throwArgument(env, "blockSize");
  }
  Operand exact, found;
  if (const char* const wrong = exact.read(env, get(env, band, "exact"), channels, elements)) {
    return throwArgument(env, wrong);
  }
  if (const char* const wrong = found.read(env, get(env, band, "found"), channels, elements)) {
    return throwArgument(env, wrong);
  }

  // Zeros follow the last element: a block that is cut short counts as a whole one.
  const int64_t blocks = (elements + blockSize - 1) / blockSize;
  const int64_t step = blocks * blockSize;
  const int64_t most = std::min(kDecodedChannels, channels);
  std::vector<float> numbers(static_cast<size_t>(most * step)), others(numbers.size());
  ErrorSum sum;
  for (int64_t first = 0; first < channels; first += most) {
    const int64_t count = std::min(most, channels - first);
    exact.decode(first, count, elements, numbers.data(), step);
    found.decode(first, count, elements, others.data(), step);
    for (int64_t channel = 0; channel < count; channel++) {
      const int64_t index = place.first + (first + channel) * place.channelStride;
      kernels->measureBlocks(numbers.data() + channel * step, others.data() + channel * step, blockSize,
                             static_cast<int>(blocks), index, blockSize, &sum);
    }
  }
  napi_value buffer, errors;
  void* memory;
  napi_create_arraybuffer(env, kErrorFields * sizeof(double), &memory, &buffer);
  packError(sum, static_cast<double*>(memory));
  napi_create_typedarray(env, napi_float64_array, kErrorFields, buffer, 0, &errors);
  return errors;
}

}  // namespace lathe
