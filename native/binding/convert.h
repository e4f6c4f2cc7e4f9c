// Converts JavaScript values to the Values of engine.h and back. Arrays of numbers are not copied in either direction.
//
//   JavaScript                                   Value
//   null, undefined                              null (an undefined property of an object counts as absent)
//   boolean, number, string                      bool, double, string
//   Array                                        List
//   {data: typed array, shape: [..]}             Array
//   a typed array                                Array [length]   (from JavaScript only)
//   any other plain object                       Dict
//
// For anything else (a BigInt, function, Date, Map, promise, other typed array) from_js throws ERR_INVALID_ARGUMENT, which
// names the property.
#pragma once

#include <napi.h>

#include "engine.h"

namespace cellsam::binding {

// `where` names the value in messages. Typed arrays stay referenced, and their memory in place, until the last copy of the
// Value is destroyed, on whatever thread.
Value from_js(Napi::Value value, const std::string& where);

// The typed array takes over the memory of an Array. Where the host does not allow that (Electron), it is copied.
Napi::Value to_js(Napi::Env env, const Value& value);

}  // namespace cellsam::binding
