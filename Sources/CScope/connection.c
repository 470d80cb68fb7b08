#include "internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
  LENGTH_BYTES = 4,
  BUFFER_BYTES = 16384,       // first size of the buffer
  BUFFER_KEPT_BYTES = 262144  // a larger one is freed when it is empty
};

static enum scope_io wait_for(struct scope_connection *connection, short events, int64_t deadline) {
  for (;;) {
    struct pollfd wanted = {.fd = connection->fd, .events = events};
    int left = scope_milliseconds_left(deadline);
    int ready = poll(&wanted, 1, left);
    if (ready > 0) return SCOPE_IO_OK;  // errors too: the operation that follows names them
    if (ready == 0 && scope_milliseconds_left(deadline) == 0) return SCOPE_IO_TIMEOUT;
    if (ready < 0 && errno != EINTR) {
      connection->system_error = errno;
      return SCOPE_IO_CLOSED;
    }
  }
}

// ------------------------------------------------------------------------------ open and close

static enum scope_io await_connected(struct scope_connection *connection, int64_t deadline) {
  enum scope_io waited = wait_for(connection, POLLOUT, deadline);
  if (waited != SCOPE_IO_OK) return waited;
  int failure = 0;
  socklen_t bytes = sizeof failure;
  if (getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &failure, &bytes) != 0) failure = errno;
  connection->system_error = failure;
  return failure == 0 ? SCOPE_IO_OK : SCOPE_IO_CLOSED;
}

// A Unix socket connects at once or not at all: EAGAIN says that the backlog is full, and to wait for
// it would take a worker away.
static enum scope_io start_connecting(struct scope_connection *connection,
                                      const struct scope_address *address, int64_t deadline) {
  const struct sockaddr *to = (const struct sockaddr *)&address->socket;
  if (connect(connection->fd, to, address->bytes) == 0) return SCOPE_IO_OK;
  if (errno == EINPROGRESS || errno == EINTR) return await_connected(connection, deadline);
  connection->system_error = errno;
  return SCOPE_IO_CLOSED;
}

static bool make_socket(struct scope_connection *connection, int family) {
  connection->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  struct stat status;
  if (connection->fd >= 0 && fstat(connection->fd, &status) == 0) {
    connection->device = status.st_dev;
    connection->inode = status.st_ino;
    return true;
  }
  connection->system_error = errno;
  if (connection->fd >= 0) close(connection->fd);
  connection->fd = -1;
  return false;
}

enum scope_io scope_connection_open(struct scope_connection *connection,
                                    const struct scope_address *address, int64_t deadline) {
  int family = address->socket.ss_family;
  if (!make_socket(connection, family)) return SCOPE_IO_CLOSED;
  if (family != AF_UNIX) {
    int on = 1;
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // slower without, no more
  }
  enum scope_io connected = start_connecting(connection, address, deadline);
  if (connected != SCOPE_IO_OK) scope_connection_close(connection);
  return connected;
}

static bool is_ours(const struct scope_connection *connection) {
  struct stat status;
  return fstat(connection->fd, &status) == 0 && status.st_dev == connection->device &&
         status.st_ino == connection->inode;
}

static void forget(struct scope_connection *connection) {
  connection->fd = -1;
  connection->begin = connection->end = 0;
}

// `fd` is forgotten before it is closed: a fork in between must not find a number that may be
// another file's by then. No shutdown(): after a fork the connection is the parent's as well.
void scope_connection_close(struct scope_connection *connection) {
  int fd = connection->fd;
  bool ours = fd >= 0 && is_ours(connection);
  forget(connection);
  if (ours) close(fd);
}

void scope_connection_check(struct scope_connection *connection) {
  if (connection->fd >= 0 && !is_ours(connection)) forget(connection);
}

void scope_connection_free(struct scope_connection *connection) {
  scope_connection_close(connection);
  free(connection->buffer);
  connection->buffer = NULL;
  connection->capacity = 0;
}

bool scope_connection_is_stale(const struct scope_connection *connection) {
  if (connection->end > connection->begin) return true;
  uint8_t byte;
  ssize_t count = recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return count >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

// ---------------------------------------------------------------------------- send and receive

enum scope_io scope_connection_send(struct scope_connection *connection, const uint8_t *bytes,
                                    size_t count, int64_t deadline) {
  connection->received = false;
  while (count > 0) {
    ssize_t sent = send(connection->fd, bytes, count, MSG_NOSIGNAL);
    if (sent >= 0) {
      bytes += sent;
      count -= (size_t)sent;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      enum scope_io waited = wait_for(connection, POLLOUT, deadline);
      if (waited != SCOPE_IO_OK) return waited;
    } else if (errno != EINTR) {
      connection->system_error = errno;
      return SCOPE_IO_CLOSED;
    }
  }
  return SCOPE_IO_OK;
}

static enum scope_io receive_some(struct scope_connection *connection, int64_t deadline) {
  for (;;) {
    enum scope_io waited = wait_for(connection, POLLIN, deadline);
    if (waited != SCOPE_IO_OK) return waited;
    ssize_t count = recv(connection->fd, connection->buffer + connection->end,
                         connection->capacity - connection->end, 0);
    if (count > 0) {
      connection->end += (size_t)count;
      connection->received = true;
      return SCOPE_IO_OK;
    }
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) continue;
    connection->system_error = count < 0 ? errno : 0;
    return SCOPE_IO_CLOSED;
  }
}

static void drop_large_buffer(struct scope_connection *connection) {
  if (connection->begin < connection->end || connection->capacity <= BUFFER_KEPT_BYTES) return;
  free(connection->buffer);
  connection->buffer = NULL;
  connection->capacity = connection->begin = connection->end = 0;
}

// Makes `count` bytes from `begin` on fit.
static bool make_room(struct scope_connection *connection, size_t count) {
  if (connection->begin > 0) {
    size_t kept = connection->end - connection->begin;
    memmove(connection->buffer, connection->buffer + connection->begin, kept);
    connection->begin = 0;
    connection->end = kept;
  }
  if (count <= connection->capacity) return true;
  size_t capacity = count > BUFFER_BYTES ? count : BUFFER_BYTES;
  uint8_t *larger = realloc(connection->buffer, capacity);
  if (!larger) return false;
  connection->buffer = larger;
  connection->capacity = capacity;
  return true;
}

static size_t read_length(const uint8_t *bytes) {
  return (size_t)bytes[0] << 24 | (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3];
}

// Receives until `count` bytes stand at `begin`.
static enum scope_io receive_at_least(struct scope_connection *connection, size_t count,
                                      int64_t deadline) {
  if (connection->end - connection->begin >= count) return SCOPE_IO_OK;
  if (!make_room(connection, count)) return SCOPE_IO_NO_MEMORY;
  while (connection->end - connection->begin < count) {
    enum scope_io received = receive_some(connection, deadline);
    if (received != SCOPE_IO_OK) return received;
  }
  return SCOPE_IO_OK;
}

enum scope_io scope_connection_receive(struct scope_connection *connection, int64_t deadline,
                                       const uint8_t **payload, size_t *payload_bytes) {
  drop_large_buffer(connection);
  enum scope_io received = receive_at_least(connection, LENGTH_BYTES, deadline);
  if (received != SCOPE_IO_OK) return received;
  size_t length = read_length(connection->buffer + connection->begin);
  if (length > SCOPE_RESPONSE_BYTES) return SCOPE_IO_TOO_LARGE;
  received = receive_at_least(connection, LENGTH_BYTES + length, deadline);
  if (received != SCOPE_IO_OK) return received;
  *payload = connection->buffer + connection->begin + LENGTH_BYTES;
  *payload_bytes = length;
  connection->begin += LENGTH_BYTES + length;
  return SCOPE_IO_OK;
}
