#include "convert.h"

#include <cmath>
#include <memory>
#include <optional>

#include "environment.h"
#include "live.h"

namespace cellsam::binding {

namespace {

constexpr int kMaxDepth = 64;  // deeper means a cycle

[[noreturn]] void refuse(const std::string& where, const std::string& expected) {
  throw Error("ERR_INVALID_ARGUMENT", where + ": " + expected);
}

// Keeps a typed array alive for native code. The reference is deleted on the JavaScript thread, the only one that may do so.
std::shared_ptr<void> borrow(Napi::TypedArray array) {
  napi_ref reference = nullptr;
  if (napi_create_reference(array.Env(), array, 1, &reference) != napi_ok) {
    throw Error("ERR_INTERNAL", "a typed array could not be referenced");
  }
  live().borrowed++;
  auto environment = Environment::of(array.Env());
  return {static_cast<void*>(reference), [environment](void* held) {
            live().borrowed--;
            environment->post([held](Napi::Env env) { napi_delete_reference(env, static_cast<napi_ref>(held)); });
          }};
}

std::optional<Dtype> dtype_of(napi_typedarray_type type) {
  switch (type) {
    case napi_uint8_array:
    case napi_uint8_clamped_array: return Dtype::u8;
    case napi_uint16_array: return Dtype::u16;
    case napi_int32_array: return Dtype::i32;
    case napi_float32_array: return Dtype::f32;
    case napi_float64_array: return Dtype::f64;
    default: return std::nullopt;
  }
}

Array array_from(Napi::TypedArray typed, std::vector<std::int64_t> shape, const std::string& where) {
  const auto dtype = dtype_of(typed.TypedArrayType());
  if (!dtype) refuse(where, "typed array must be Uint8, Uint16, Int32, Float32 or Float64");
  Array array{*dtype, std::move(shape), nullptr, nullptr};
  napi_typedarray_type type;
  std::size_t length = 0;
  if (napi_get_typedarray_info(typed.Env(), typed, &type, &length, &array.data, nullptr, nullptr) != napi_ok) {
    refuse(where, "typed array cannot be read");
  }
  array.owner = borrow(typed);
  return array;
}

std::vector<std::int64_t> shape_from(Napi::Value value, std::size_t length, const std::string& where) {
  if (!value.IsArray()) refuse(where, "shape must be a list of integers");
  const auto sides = value.As<Napi::Array>();
  std::vector<std::int64_t> shape;
  double numel = 1;
  for (std::uint32_t i = 0; i < sides.Length(); i++) {
    const Napi::Value side = sides[i];
    const double number = side.IsNumber() ? side.As<Napi::Number>().DoubleValue() : -1;
    if (!(number >= 0) || number != std::floor(number) || number > 9007199254740991.0) {
      refuse(where, "shape must be a list of integers that are not negative");
    }
    shape.push_back(static_cast<std::int64_t>(number));
    numel *= number;
  }
  if (numel != static_cast<double>(length)) {
    refuse(where, "shape asks for " + std::to_string(static_cast<std::int64_t>(numel)) + " numbers, data has " +
                      std::to_string(length));
  }
  return shape;
}

Value convert(Napi::Value value, const std::string& where, int depth);

Value from_object(Napi::Object object, const std::string& where, int depth) {
  const Napi::Value data = object.Get("data");
  if (data.IsTypedArray()) {
    const auto typed = data.As<Napi::TypedArray>();
    return array_from(typed, shape_from(object.Get("shape"), typed.ElementLength(), where), where);
  }
  Dict dict;
  const auto names = object.GetPropertyNames();
  for (std::uint32_t i = 0; i < names.Length(); i++) {
    const Napi::Value key = names[i];
    const std::string name = key.ToString();
    const Napi::Value item = object.Get(key);
    if (item.IsUndefined()) continue;
    std::string path = where;
    if (!path.empty()) path += '.';
    path += name;
    dict.emplace(name, convert(item, path, depth + 1));
  }
  return dict;
}

Value convert(Napi::Value value, const std::string& where, int depth) {
  if (depth > kMaxDepth) refuse(where, "nested too deeply, or it contains itself");
  switch (value.Type()) {
    case napi_undefined:
    case napi_null: return {};
    case napi_boolean: return value.As<Napi::Boolean>().Value();
    case napi_number: return value.As<Napi::Number>().DoubleValue();
    case napi_string: return value.As<Napi::String>().Utf8Value();
    case napi_object: break;
    default: refuse(where, "must be plain data, not a function, symbol or BigInt");
  }
  if (value.IsTypedArray()) {
    const auto typed = value.As<Napi::TypedArray>();
    return array_from(typed, {static_cast<std::int64_t>(typed.ElementLength())}, where);
  }
  if (value.IsArray()) {
    const auto items = value.As<Napi::Array>();
    List list;
    list.reserve(items.Length());
    for (std::uint32_t i = 0; i < items.Length(); i++) {
      Napi::HandleScope scope(value.Env());
      list.push_back(convert(items[i], where + "[" + std::to_string(i) + "]", depth + 1));
    }
    return list;
  }
  // Object.prototype.toString recognises plain objects, also those of another realm.
  const auto tag = value.Env().Global().Get("Object").As<Napi::Object>().Get("prototype").As<Napi::Object>();
  const std::string kind = tag.Get("toString").As<Napi::Function>().Call(value, {}).As<Napi::String>();
  if (kind != "[object Object]") refuse(where, "must be plain data, not " + kind);
  return from_object(value.As<Napi::Object>(), where, depth);
}

// An ArrayBuffer that shares ownership of the array's memory, or a copy
// where the host (Electron) wants all buffers in its own heap.
Napi::ArrayBuffer buffer_of(Napi::Env env, const Array& array) {
  const auto bytes = array.bytes();
  if (bytes == 0) return Napi::ArrayBuffer::New(env, 0);
  auto* owner = new std::shared_ptr<void>(array.owner);
  napi_value buffer = nullptr;
  // V8 counts the bytes of an external buffer itself; AdjustExternalMemory would count them twice.
  const auto status = napi_create_external_arraybuffer(
      env, array.data, bytes,
      [](napi_env, void*, void* hint) {
        delete static_cast<std::shared_ptr<void>*>(hint);
        live().lent--;
      },
      owner, &buffer);
  if (status == napi_ok) {
    live().lent++;
    return Napi::ArrayBuffer(env, buffer);
  }
  delete owner;
  if (status != napi_no_external_buffers_allowed) throw Napi::Error::New(env);
  auto copy = Napi::ArrayBuffer::New(env, bytes);
  std::memcpy(copy.Data(), array.data, bytes);
  return copy;
}

Napi::Value array_to(Napi::Env env, const Array& array) {
  const auto buffer = buffer_of(env, array);
  const auto length = static_cast<std::size_t>(array.numel());
  auto result = Napi::Object::New(env);
  switch (array.dtype) {
    case Dtype::u8: result.Set("data", Napi::Uint8Array::New(env, length, buffer, 0)); break;
    case Dtype::u16: result.Set("data", Napi::Uint16Array::New(env, length, buffer, 0)); break;
    case Dtype::i32: result.Set("data", Napi::Int32Array::New(env, length, buffer, 0)); break;
    case Dtype::f32: result.Set("data", Napi::Float32Array::New(env, length, buffer, 0)); break;
    case Dtype::f64: result.Set("data", Napi::Float64Array::New(env, length, buffer, 0)); break;
  }
  auto shape = Napi::Array::New(env, array.shape.size());
  for (std::uint32_t i = 0; i < array.shape.size(); i++) shape[i] = Napi::Number::New(env, static_cast<double>(array.shape[i]));
  result.Set("shape", shape);
  return result;
}

}  // namespace

Value from_js(Napi::Value value, const std::string& where) { return convert(value, where, 0); }

Napi::Value to_js(Napi::Env env, const Value& value) {
  if (const auto* flag = value.as<bool>()) return Napi::Boolean::New(env, *flag);
  if (const auto* number = value.as<double>()) return Napi::Number::New(env, *number);
  if (const auto* text = value.as<std::string>()) return Napi::String::New(env, *text);
  if (const auto* array = value.as<Array>()) return array_to(env, *array);
  if (const auto* list = value.as<List>()) {
    auto items = Napi::Array::New(env, list->size());
    for (std::uint32_t i = 0; i < list->size(); i++) {
      Napi::HandleScope scope(env);
      items[i] = to_js(env, (*list)[i]);
    }
    return items;
  }
  if (const auto* dict = value.as<Dict>()) {
    auto object = Napi::Object::New(env);
    for (const auto& [name, item] : *dict) {
      Napi::HandleScope scope(env);
      object.Set(name, to_js(env, item));
    }
    return object;
  }
  return env.Null();
}

}  // namespace cellsam::binding
