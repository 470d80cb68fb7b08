#include "internal.h"

#include <string.h>

static bool refuse(scope_error *error, const char *what, const char *why) {
  scope_fail(error, SCOPE_STATUS_INVALID_ARGUMENT, "bad_argument", "%s %s", what, why);
  return false;
}

bool scope_take_name(const char *text, const char *what, ProtobufCBinaryData *name,
                     scope_error *error) {
  if (!text) return refuse(error, what, "is missing");
  size_t bytes = strnlen(text, SCOPE_NAME_BYTES + 1);
  if (bytes == 0) return refuse(error, what, "is empty");
  if (bytes > SCOPE_NAME_BYTES) return refuse(error, what, "is longer than 128 bytes");
  *name = (ProtobufCBinaryData){bytes, (uint8_t *)text};  // packing only reads it
  return true;
}

bool scope_take_optional_name(const char *text, const char *what, ProtobufCBinaryData *name,
                              scope_error *error) {
  if (text && *text) return scope_take_name(text, what, name, error);
  *name = (ProtobufCBinaryData){0, NULL};
  return true;
}

// The type in front of the colon; no type's name is as long as the buffer.
static int32_t type_before(const char *text, const char *colon) {
  char name[64];
  size_t bytes = (size_t)(colon - text);
  if (bytes >= sizeof name) return 0;
  memcpy(name, text, bytes);
  name[bytes] = 0;
  return scope_type_number(name);
}

bool scope_take_ref(const char *text, const char *what, Scope__V1__EntityType *type,
                    ProtobufCBinaryData *id, scope_error *error) {
  if (!text) return refuse(error, what, "is missing");
  const char *colon = strchr(text, ':');
  if (!colon) return refuse(error, what, "has no colon between type and id");
  int32_t number = type_before(text, colon);
  if (!number) return refuse(error, what, "has an unknown type");
  if (!scope_take_name(colon + 1, what, id, error)) return false;
  *type = (Scope__V1__EntityType)number;
  return true;
}

bool scope_take_type(const char *name, Scope__V1__EntityType *type, scope_error *error) {
  int32_t number = scope_type_number(name);
  if (!number) return refuse(error, "the type", "is unknown");
  *type = (Scope__V1__EntityType)number;
  return true;
}

bool scope_copy_name(ProtobufCBinaryData name, char *buffer, size_t capacity) {
  if (name.len >= capacity) return false;
  if (name.len > 0) {
    if (memchr(name.data, 0, name.len)) return false;
    memcpy(buffer, name.data, name.len);
  }
  buffer[name.len] = 0;
  return true;
}

bool scope_ref_parse(const char *text, scope_ref *ref, scope_error *error) {
  scope_error ignored;
  if (!error) error = &ignored;
  scope_error_clear(error);
  memset(ref, 0, sizeof *ref);
  Scope__V1__EntityType type;
  ProtobufCBinaryData id;
  if (!scope_take_ref(text, "the ref", &type, &id, error)) return false;
  *ref = (scope_ref){(int32_t)type, (const char *)id.data, id.len};
  return true;
}
