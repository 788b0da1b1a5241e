// JavaScript values to C++ and back, for the files of the border (addon*.cc). Nothing is worded here: errors are objects
// with `code` and `errno`, TypeScript writes the sentence.
#pragma once

#include <node_api.h>
#include <uv.h>

#include <cmath>
#include <cstdint>
#include <string>

#include "io.h"

namespace lathe {

inline napi_value undefined(napi_env env) {
  napi_value value;
  napi_get_undefined(env, &value);
  return value;
}

inline napi_value number(napi_env env, double value) {
  napi_value result;
  napi_create_double(env, value, &result);
  return result;
}

inline napi_value text(napi_env env, const char* value) {
  napi_value result;
  napi_create_string_utf8(env, value, NAPI_AUTO_LENGTH, &result);
  return result;
}

inline void set(napi_env env, napi_value object, const char* name, napi_value value) {
  napi_set_named_property(env, object, name, value);
}

inline napi_value get(napi_env env, napi_value object, const char* name) {
  napi_value value = nullptr;
  napi_get_named_property(env, object, name, &value);
  return value;
}

// An Error whose message and `code` are the name of the errno, as in Node's own system errors.
inline napi_value systemError(napi_env env, int error) {
  char name[32] = "END_OF_FILE";
  if (error != kEndOfFile) uv_err_name_r(-error, name, sizeof name);
  napi_value object;
  napi_create_error(env, text(env, name), text(env, name), &object);
  set(env, object, "errno", number(env, error));
  return object;
}

inline napi_value throwSystem(napi_env env, int error) {
  napi_throw(env, systemError(env, error));
  return nullptr;
}

inline napi_value throwArgument(napi_env env, const char* what) {
  napi_throw_type_error(env, "ERR_NATIVE_ARGUMENT", what);
  return nullptr;
}

// Up to eight arguments; those that are absent are undefined.
struct Arguments {
  napi_value values[8];
  Arguments(napi_env env, napi_callback_info info) {
    size_t count = 8;
    napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  }
  napi_value operator[](size_t index) const { return values[index]; }
};

inline bool toInteger(napi_env env, napi_value value, int64_t* result) {
  double number;
  if (value == nullptr || napi_get_value_double(env, value, &number) != napi_ok) return false;
  if (!(std::fabs(number) <= 9007199254740991.0) || number != std::floor(number)) return false;
  *result = static_cast<int64_t>(number);
  return true;
}

inline bool toDescriptor(napi_env env, napi_value value, int* result) {
  int64_t number;
  if (!toInteger(env, value, &number) || number < 0 || number > INT32_MAX) return false;
  *result = static_cast<int>(number);
  return true;
}

inline bool toString(napi_env env, napi_value value, std::string* result) {
  size_t length;
  if (value == nullptr || napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) return false;
  result->resize(length + 1);
  napi_get_value_string_utf8(env, value, &(*result)[0], length + 1, &length);
  result->resize(length);
  return result->find('\0') == std::string::npos;
}

inline bool toBoolean(napi_env env, napi_value value) {
  bool result = false;
  return value != nullptr && napi_get_value_bool(env, value, &result) == napi_ok && result;
}

// View of a typed array of the given type; nothing is copied.
template <typename Element>
bool toArray(napi_env env, napi_value value, napi_typedarray_type expected, const Element** data, size_t* length) {
  bool isArray = false;
  if (value == nullptr || napi_is_typedarray(env, value, &isArray) != napi_ok || !isArray) return false;
  napi_typedarray_type type;
  void* memory;
  if (napi_get_typedarray_info(env, value, &type, length, &memory, nullptr, nullptr) != napi_ok) return false;
  *data = static_cast<const Element*>(memory);
  return type == expected;
}

}  // namespace lathe
