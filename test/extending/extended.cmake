# The engine with the examples of docs/extending.md in it (tree.mjs writes them): the objects of the engine but for its two tables,
# which are compiled again with the longer lists.
set(EXTENDED ${CMAKE_SOURCE_DIR}/build/extended)
file(GLOB added CONFIGURE_DEPENDS ${EXTENDED}/native/loss/*.cc ${EXTENDED}/native/augment/*.cc)
set(others ${CELLSAM_FAMILIES})
list(REMOVE_ITEM others cellsam_loss cellsam_augment)
add_library(extended SHARED EXCLUDE_FROM_ALL native/loss/mask_loss_table.cc native/augment/augmentations.cc ${added}
  $<FILTER:$<TARGET_OBJECTS:cellsam_loss>,EXCLUDE,mask_loss_table> $<FILTER:$<TARGET_OBJECTS:cellsam_augment>,EXCLUDE,/augmentations>)
target_include_directories(extended PRIVATE ${EXTENDED}/native ${EXTENDED}/build/generated native)
target_link_libraries(extended PRIVATE cellsam_os ${others} torch)
target_precompile_headers(extended REUSE_FROM cellsam_base)
set_target_properties(extended PROPERTIES
  PREFIX lib OUTPUT_NAME cellsam_engine-${torch_minor} DEFINE_SYMBOL ""  # or the precompiled header does not fit
  LIBRARY_OUTPUT_DIRECTORY ${EXTENDED}/build/Release RUNTIME_OUTPUT_DIRECTORY ${EXTENDED}/build/Release)
if(TARGET binding)
  add_dependencies(extended binding)
  add_custom_command(TARGET extended POST_BUILD
    COMMAND ${CMAKE_COMMAND} -E copy_if_different $<TARGET_FILE:binding> ${EXTENDED}/build/Release)
endif()
