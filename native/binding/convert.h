// JavaScript values <-> the border's `Value`s. Arrays of numbers cross without a copy in both directions.
//
//   JavaScript                                   Value
//   null, undefined                              null (an undefined property of an object counts as absent)
//   boolean, number, string                      bool, double, string
//   Array                                        List
//   {data: typed array, shape: [..]}             Array
//   a bare typed array                           Array [length]   (never comes out)
//   any other plain object                       Dict
//
// Anything else (a BigInt, function, Date, Map, promise, other typed array) is ERR_INVALID_ARGUMENT naming its place.
#pragma once

#include <napi.h>

#include "engine.h"

namespace cellsam::binding {

// `where` names the value in messages. Typed arrays stay referenced, and their memory stays in place, until the last copy of
// the Value is gone; that may happen on any thread.
Value from_js(Napi::Value value, const std::string& where);

// Array memory is handed over: the typed array owns it. Where the host forbids that (Electron), it is copied.
Napi::Value to_js(Napi::Env env, const Value& value);

}  // namespace cellsam::binding
