// The few declarations of the PJRT C interface (OpenXLA) that the cache of compiled programs needs.
// go-xla has the whole header, but cgo cannot include a file of another module. A test compares this
// one with it: TestPJRTDeclarations.
#ifndef GODCPT_PJRTAPI_H
#define GODCPT_PJRTAPI_H

#include <stddef.h>

// The table of functions that a plugin's GetPjrtApi returns, with functions by their number.
struct godcpt_pjrt_api {
  size_t struct_size;
  void *extension_start;
  size_t version_struct_size;
  void *version_extension_start;
  int major_version;
  int minor_version;
  void *functions[];
};

// Numbers of functions. Within a major version new ones are only added after the last.
enum {
  GODCPT_PJRT_Error_Destroy = 0,
  GODCPT_PJRT_Error_Message = 1,
  GODCPT_PJRT_Plugin_Initialize = 3,
  GODCPT_PJRT_Client_Create = 10,
  GODCPT_PJRT_Client_Compile = 20,
  GODCPT_PJRT_Executable_Destroy = 40,
  GODCPT_PJRT_Executable_Serialize = 49,
  GODCPT_PJRT_LoadedExecutable_GetExecutable = 51,
  GODCPT_PJRT_Executable_DeserializeAndLoad = 56,
};

// What the functions take. Each begins with its own size, which the plugin compares with what it was
// built for, and returns an error where that is larger.
struct godcpt_pjrt_initialize_args {
  size_t struct_size;
  void *extension_start;
};

struct godcpt_pjrt_client_create_args {
  size_t struct_size;
  void *extension_start;
  const void *create_options; // null: none
  size_t num_options;
  void *kv_get_callback; // this and what follows: null, for processes that do not work together
  void *kv_get_user_arg;
  void *kv_put_callback;
  void *kv_put_user_arg;
  void *client; // out
  void *kv_try_get_callback;
  void *kv_try_get_user_arg;
};

struct godcpt_pjrt_program {
  size_t struct_size;
  void *extension_start;
  char *code;
  size_t code_size;
  const char *format;
  size_t format_size;
};

struct godcpt_pjrt_compile_args {
  size_t struct_size;
  void *extension_start;
  void *client;
  const struct godcpt_pjrt_program *program;
  const char *compile_options;
  size_t compile_options_size;
  void *executable; // out: loaded
};

struct godcpt_pjrt_error_destroy_args {
  size_t struct_size;
  void *extension_start;
  void *error;
};

struct godcpt_pjrt_error_message_args {
  size_t struct_size;
  void *extension_start;
  const void *error;
  const char *message; // out
  size_t message_size; // out
};

struct godcpt_pjrt_executable_destroy_args {
  size_t struct_size;
  void *extension_start;
  void *executable;
};

struct godcpt_pjrt_serialize_args {
  size_t struct_size;
  void *extension_start;
  const void *executable;
  const char *serialized_bytes;       // out
  size_t serialized_bytes_size;       // out
  void *serialized_executable;        // out: owns the bytes
  void (*serialized_executable_deleter)(void *); // out
};

struct godcpt_pjrt_get_executable_args {
  size_t struct_size;
  void *extension_start;
  void *loaded_executable;
  void *executable; // out
};

struct godcpt_pjrt_load_args {
  size_t struct_size;
  void *extension_start;
  void *client;
  const char *serialized_executable;
  size_t serialized_executable_size;
  void *loaded_executable; // out
  const char *overridden_serialized_compile_options; // null: those it was compiled with
  size_t overridden_serialized_compile_options_size;
};

#endif
