// The types of numbers that a checkpoint may contain, with their three names. Readers and writers refuse any other type.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "weights/fault.h"

namespace cellsam::weights {

struct NumberType {
  at::ScalarType type;
  std::int64_t bytes;
  std::string_view storage;      // torch.FloatStorage
  std::string_view name;         // torch.float32
  std::string_view safetensors;  // F32
};

constexpr std::array<NumberType, 10> kNumberTypes = {{
    {at::kDouble, 8, "DoubleStorage", "float64", "F64"},
    {at::kFloat, 4, "FloatStorage", "float32", "F32"},
    {at::kHalf, 2, "HalfStorage", "float16", "F16"},
    {at::kBFloat16, 2, "BFloat16Storage", "bfloat16", "BF16"},
    {at::kLong, 8, "LongStorage", "int64", "I64"},
    {at::kInt, 4, "IntStorage", "int32", "I32"},
    {at::kShort, 2, "ShortStorage", "int16", "I16"},
    {at::kChar, 1, "CharStorage", "int8", "I8"},
    {at::kByte, 1, "ByteStorage", "uint8", "U8"},
    {at::kBool, 1, "BoolStorage", "bool", "BOOL"},
}};

// The entry whose `field` equals `value`, or null: find_type(&NumberType::name, "float32").
template <class Field, class Wanted>
const NumberType* find_type(Field NumberType::*field, const Wanted& value) {
  const auto* found =
      std::find_if(kNumberTypes.begin(), kNumberTypes.end(), [&](const NumberType& t) { return t.*field == value; });
  return found == kNumberTypes.end() ? nullptr : found;
}

// The type of a tensor that is to be written. Throws ERR_INVALID_ARGUMENT
// if it is not in the table, or the tensor is not dense.
inline const NumberType& type_to_write(const std::string& name, const at::Tensor& tensor) {
  if (!tensor.defined() || tensor.layout() != at::kStrided || tensor.is_quantized()) {
    throw Error("ERR_INVALID_ARGUMENT", "tensor " + printable(name) + " is not a dense tensor and cannot be saved");
  }
  const auto* type = find_type(&NumberType::type, tensor.scalar_type());
  if (type == nullptr) throw Error("ERR_INVALID_ARGUMENT", "tensor " + printable(name) + " has a dtype that cannot be saved");
  return *type;
}

}  // namespace cellsam::weights
