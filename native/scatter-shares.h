// Puts what strips of columns made of many channels into the places of those channels.
#pragma once

#include <cstdint>
#include <cstring>

namespace lathe {

// Copies `count` shares that touch each other to places `stride` bytes apart. Most are as long as a register or two.
template <int64_t kShare>
void scatterSharesOf(const uint8_t* from, int64_t count, uint8_t* to, int64_t stride) {
  for (int64_t i = 0; i < count; i++) memcpy(to + i * stride, from + i * kShare, kShare);
}
inline void scatterShares(const uint8_t* from, int64_t share, int64_t count, uint8_t* to, int64_t stride) {
  switch (share) {
    case 2:
      return scatterSharesOf<2>(from, count, to, stride);
    case 4:
      return scatterSharesOf<4>(from, count, to, stride);
    case 8:
      return scatterSharesOf<8>(from, count, to, stride);
    case 16:
      return scatterSharesOf<16>(from, count, to, stride);
    case 64:
      return scatterSharesOf<64>(from, count, to, stride);
    case 128:
      return scatterSharesOf<128>(from, count, to, stride);
  }
  for (int64_t i = 0; i < count; i++) memcpy(to + i * stride, from + i * share, static_cast<size_t>(share));
}

}  // namespace lathe
