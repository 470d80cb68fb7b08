#include "internal.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static bool refuse(scope_error *error, const char *why) {
  scope_fail(error, SCOPE_STATUS_INVALID_ARGUMENT, "bad_argument", "the address %s", why);
  return false;
}

// Absolute only: connecting is lazy, and the working directory may have changed by then.
static bool parse_unix(const char *path, struct scope_address *address, scope_error *error) {
  struct sockaddr_un *to = (struct sockaddr_un *)&address->socket;
  size_t bytes = strlen(path);
  if (path[0] != '/') return refuse(error, "must name the socket by a path that begins with /");
  if (bytes >= sizeof to->sun_path) return refuse(error, "is longer than a socket's path may be");
  to->sun_family = AF_UNIX;
  memcpy(to->sun_path, path, bytes + 1);
  address->bytes = (socklen_t)sizeof *to;
  return true;
}

// Splits "host:port" or "[host]:port". `host` has the size of `capacity`.
static const char *split_port(const char *text, char *host, size_t capacity) {
  const char *begin = text, *end = strrchr(text, ':');
  if (!end || !end[1]) return NULL;
  const char *port = end + 1;
  if (*begin == '[') {
    if (end == begin || end[-1] != ']') return NULL;
    begin++, end--;
  }
  if (end <= begin || (size_t)(end - begin) >= capacity) return NULL;
  memcpy(host, begin, (size_t)(end - begin));
  host[end - begin] = 0;
  return port;
}

static bool parse_tcp(const char *text, struct scope_address *address, scope_error *error) {
  char host[64];
  const char *port = split_port(text, host, sizeof host);
  if (!port) return refuse(error, "must be tcp:host:port, an IPv6 host in square brackets");
  // Numbers only: a look-up of a name blocks without a deadline.
  struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
  struct addrinfo *found = NULL;
  if (getaddrinfo(host, port, &hints, &found) != 0) {
    return refuse(error, "must have a numeric host and port");
  }
  memcpy(&address->socket, found->ai_addr, found->ai_addrlen);
  address->bytes = found->ai_addrlen;
  freeaddrinfo(found);
  return true;
}

bool scope_address_parse(const char *text, struct scope_address *address, scope_error *error) {
  memset(address, 0, sizeof *address);
  if (!text) return refuse(error, "is missing");
  if (text[0] == '/') return parse_unix(text, address, error);
  if (!strncmp(text, "unix:", 5)) return parse_unix(text + 5, address, error);
  if (!strncmp(text, "tcp:", 4)) return parse_tcp(text + 4, address, error);
  return refuse(error, "must begin with unix:, tcp: or /");
}
