// Calls of the PJRT C interface for interpose.go. Those that return void * return an error of the
// plugin's, or null.
#ifndef GODCPT_INTERPOSE_H
#define GODCPT_INTERPOSE_H

#include "pjrtapi.h"

// Opens a plugin and returns its table, null if that fails.
struct godcpt_pjrt_api *godcpt_open(const char *path);

// Returns a copy of a plugin's table in which compiling calls godcptCompile; null without memory.
struct godcpt_pjrt_api *godcpt_interpose(struct godcpt_pjrt_api *api);

// Makes a plugin ready, which go-xla does for the one of this process, and creates a client as go-xla does
// for the CPU: without options.
void *godcpt_client(struct godcpt_pjrt_api *api, void **client);

void *godcpt_compile(struct godcpt_pjrt_api *api, struct godcpt_pjrt_compile_args *args);
void *godcpt_compile_code(struct godcpt_pjrt_api *api, void *client, const char *format, size_t format_size, char *code, size_t code_size,
                          const char *options, size_t options_size, void **loaded);
void *godcpt_load(struct godcpt_pjrt_api *api, void *client, const char *bytes, size_t size, void **loaded);

// The result is to be freed with godcpt_serialized_free if there is no error.
void *godcpt_serialize(struct godcpt_pjrt_api *api, void *loaded, struct godcpt_pjrt_serialize_args *out);
void godcpt_serialized_free(struct godcpt_pjrt_serialize_args *serialized);

void godcpt_error_message(struct godcpt_pjrt_api *api, void *error, const char **message, size_t *size);
void godcpt_error_free(struct godcpt_pjrt_api *api, void *error);

#endif
