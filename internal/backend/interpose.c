//go:build cgo && !noxla && ((linux && (amd64 || arm64)) || (darwin && arm64))

#include "interpose.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "_cgo_export.h"

static void *call(struct godcpt_pjrt_api *api, int function, void *args) {
  return ((void *(*)(void *))api->functions[function])(args);
}

struct godcpt_pjrt_api *godcpt_open(const char *path) {
  void *library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
  if (!library) return NULL;
  void *get = dlsym(library, "GetPjrtApi");
  return get ? ((struct godcpt_pjrt_api * (*)(void)) get)() : NULL;
}

struct godcpt_pjrt_api *godcpt_interpose(struct godcpt_pjrt_api *api) {
  struct godcpt_pjrt_api *copy = malloc(api->struct_size);
  if (!copy) return NULL;
  memcpy(copy, api, api->struct_size);
  copy->functions[GODCPT_PJRT_Client_Compile] = (void *)godcptCompile;
  return copy;
}

void *godcpt_client(struct godcpt_pjrt_api *api, void **client) {
  struct godcpt_pjrt_initialize_args initialize = {.struct_size = sizeof initialize};
  void *error = call(api, GODCPT_PJRT_Plugin_Initialize, &initialize);
  if (error) return error;
  struct godcpt_pjrt_client_create_args create = {.struct_size = sizeof create};
  error = call(api, GODCPT_PJRT_Client_Create, &create);
  *client = create.client;
  return error;
}

void *godcpt_compile(struct godcpt_pjrt_api *api, struct godcpt_pjrt_compile_args *args) {
  return call(api, GODCPT_PJRT_Client_Compile, args);
}

void *godcpt_compile_code(struct godcpt_pjrt_api *api, void *client, const char *format, size_t format_size, char *code, size_t code_size,
                          const char *options, size_t options_size, void **loaded) {
  struct godcpt_pjrt_program program = {.struct_size = sizeof program, .code = code, .code_size = code_size, .format = format, .format_size = format_size};
  struct godcpt_pjrt_compile_args args = {.struct_size = sizeof args, .client = client, .program = &program, .compile_options = options, .compile_options_size = options_size};
  void *error = godcpt_compile(api, &args);
  *loaded = args.executable;
  return error;
}

void *godcpt_load(struct godcpt_pjrt_api *api, void *client, const char *bytes, size_t size, void **loaded) {
  struct godcpt_pjrt_load_args args = {.struct_size = sizeof args, .client = client, .serialized_executable = bytes, .serialized_executable_size = size};
  void *error = call(api, GODCPT_PJRT_Executable_DeserializeAndLoad, &args);
  *loaded = args.loaded_executable;
  return error;
}

void *godcpt_serialize(struct godcpt_pjrt_api *api, void *loaded, struct godcpt_pjrt_serialize_args *out) {
  struct godcpt_pjrt_get_executable_args get = {.struct_size = sizeof get, .loaded_executable = loaded};
  void *error = call(api, GODCPT_PJRT_LoadedExecutable_GetExecutable, &get);
  if (error) return error;
  memset(out, 0, sizeof *out);
  out->struct_size = sizeof *out;
  out->executable = get.executable;
  error = call(api, GODCPT_PJRT_Executable_Serialize, out);
  struct godcpt_pjrt_executable_destroy_args destroy = {.struct_size = sizeof destroy, .executable = get.executable};
  void *failed = call(api, GODCPT_PJRT_Executable_Destroy, &destroy);
  if (failed) godcpt_error_free(api, failed); // leaks the executable, which serves nevertheless
  return error;
}

void godcpt_serialized_free(struct godcpt_pjrt_serialize_args *serialized) {
  if (serialized->serialized_executable_deleter) serialized->serialized_executable_deleter(serialized->serialized_executable);
}

void godcpt_error_message(struct godcpt_pjrt_api *api, void *error, const char **message, size_t *size) {
  struct godcpt_pjrt_error_message_args args = {.struct_size = sizeof args, .error = error};
  call(api, GODCPT_PJRT_Error_Message, &args);
  *message = args.message;
  *size = args.message_size;
}

void godcpt_error_free(struct godcpt_pjrt_api *api, void *error) {
  struct godcpt_pjrt_error_destroy_args args = {.struct_size = sizeof args, .error = error};
  call(api, GODCPT_PJRT_Error_Destroy, &args);
}
