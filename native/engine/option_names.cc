#include "engine/option_names.h"

#include "base/options.h"
#include "data/prepare_options.h"
#include "infer/options.h"

namespace cellsam::engine {
namespace {

template <class... Readers>
List names_read_by(Readers... readers) {
  Options options(Value(), "options");
  (readers(options), ...);
  return {options.names().begin(), options.names().end()};
}

}  // namespace

Value option_names() {
  return Dict{{"predict", names_read_by(data::read_prepare_options, infer::read_predict_options)},
              {"store_writer", names_read_by(data::read_prepare_options, data::read_tile_options)}};
}

}  // namespace cellsam::engine
