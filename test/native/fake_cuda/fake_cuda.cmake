# The target `fake_cuda`: the pretend CUDA device of the tests (README.md), never shipped. Everything lies under build/test/fake_cuda:
#   libtorch/   the libtorch that LIBTORCH names, by links, and libtorch_cuda.so
#   driver/     libcuda.so.1 and libnvidia-ml.so.1
#   engine/     the engine, by a link, and libcellsam_cuda with loops in the place of kernels
#   controls    the program that makes every mistake that the device has to see
if(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux" OR NOT TARGET engine OR EXISTS ${LIBTORCH}/lib/libtorch_cuda.so)
  return()
endif()

set(FAKE_CUDA ${CMAKE_BINARY_DIR}/test/fake_cuda)
file(MAKE_DIRECTORY ${FAKE_CUDA}/libtorch/lib ${FAKE_CUDA}/driver ${FAKE_CUDA}/engine)
file(GLOB torch_files ${LIBTORCH}/*)
list(REMOVE_ITEM torch_files ${LIBTORCH}/lib)
foreach(file ${torch_files})
  get_filename_component(name ${file} NAME)
  file(CREATE_LINK ${file} ${FAKE_CUDA}/libtorch/${name} SYMBOLIC)
endforeach()
file(GLOB torch_libraries ${LIBTORCH}/lib/*)
foreach(file ${torch_libraries})
  get_filename_component(name ${file} NAME)
  file(CREATE_LINK ${file} ${FAKE_CUDA}/libtorch/lib/${name} SYMBOLIC)
endforeach()

# `folder` of the package, a library of this name in it.
function(fake_library target folder name)
  add_library(${target} SHARED EXCLUDE_FROM_ALL ${ARGN})
  target_include_directories(${target} PRIVATE test/native test native native/dist/headers)
  target_include_directories(${target} BEFORE PRIVATE test/native/fake_cuda/include)
  set_target_properties(${target} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${FAKE_CUDA}/${folder} PREFIX "" OUTPUT_NAME ${name})
endfunction()

file(GLOB sources CONFIGURE_DEPENDS test/native/fake_cuda/*.cc)
list(REMOVE_ITEM sources ${CMAKE_SOURCE_DIR}/test/native/fake_cuda/controls.cc)
fake_library(fake_torch_cuda libtorch/lib libtorch_cuda ${sources})
target_link_libraries(fake_torch_cuda PRIVATE torch ${CMAKE_DL_LIBS})
set_target_properties(fake_torch_cuda PROPERTIES CXX_VISIBILITY_PRESET default UNITY_BUILD ${CELLSAM_UNITY} UNITY_BUILD_BATCH_SIZE 8)

fake_library(fake_driver driver libcuda test/native/fake_cuda/driver/cuda.cc)
fake_library(fake_nvml driver libnvidia-ml test/native/fake_cuda/driver/nvml.cc)
foreach(target fake_driver fake_nvml)
  set_target_properties(${target} PROPERTIES CXX_VISIBILITY_PRESET default SUFFIX .so.1)
endforeach()

file(GLOB sources CONFIGURE_DEPENDS native/cuda/*.cc test/native/fake_cuda/kernels/*.cc)
fake_library(fake_cellsam_cuda engine libcellsam_cuda-${torch_minor}-cu13 ${sources} native/base/upload.cc)
target_link_libraries(fake_cellsam_cuda PRIVATE fake_torch_cuda torch)
target_link_options(fake_cellsam_cuda PRIVATE -Wl,--no-undefined)

add_custom_target(fake_cuda DEPENDS fake_torch_cuda fake_driver fake_nvml fake_cellsam_cuda engine)
add_custom_command(TARGET fake_cuda POST_BUILD
  COMMAND ${CMAKE_COMMAND} -E create_symlink $<TARGET_FILE:engine> ${FAKE_CUDA}/engine/$<TARGET_FILE_NAME:engine>)

add_executable(fake_cuda_controls EXCLUDE_FROM_ALL test/native/fake_cuda/controls.cc)
target_link_libraries(fake_cuda_controls PRIVATE torch ${CMAKE_DL_LIBS})
set_target_properties(fake_cuda_controls PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${FAKE_CUDA} OUTPUT_NAME controls)
add_dependencies(fake_cuda fake_cuda_controls)
