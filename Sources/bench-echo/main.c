/* The least a server on a Unix socket can do: one thread, epoll, and what came in goes out. Measured
 * beside scoped: nothing that answers over the same socket can cost less.
 *
 *   bench-echo SOCKET
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void require(int holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "bench-echo: %s: %s\n", what, strerror(errno));
  exit(1);
}

static int listen_at(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  require(strlen(path) < sizeof address.sun_path, "the path is too long for a socket");
  strcpy(address.sun_path, path);
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  require(listener >= 0, "socket");
  require(bind(listener, (struct sockaddr *)&address, sizeof address) == 0, path);
  require(listen(listener, 128) == 0, "listen");
  return listener;
}

static void watch(int epoll, int handle) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = handle};
  require(epoll_ctl(epoll, EPOLL_CTL_ADD, handle, &event) == 0, "epoll_ctl");
}

/* Waits where a client does not read: the benchmark's client always does. */
static int send_all(int handle, const char *bytes, size_t count) {
  while (count > 0) {
    ssize_t sent = send(handle, bytes, count, MSG_NOSIGNAL);
    if (sent < 0 && errno != EINTR) return -1;
    if (sent > 0) bytes += sent, count -= (size_t)sent;
  }
  return 0;
}

static void echo(int handle) {
  static char buffer[256 << 10];
  ssize_t count = recv(handle, buffer, sizeof buffer, 0);
  if (count <= 0 || send_all(handle, buffer, (size_t)count) < 0) close(handle);
}

int main(int count, char **arguments) {
  if (count != 2) {
    fprintf(stderr, "usage: bench-echo SOCKET\n");
    return 64;
  }
  int listener = listen_at(arguments[1]), epoll = epoll_create1(0);
  require(epoll >= 0, "epoll_create1");
  watch(epoll, listener);
  puts("bench-echo: ready");
  fflush(stdout);
  for (;;) {
    struct epoll_event events[64];
    int ready = epoll_wait(epoll, events, 64, -1);
    require(ready >= 0 || errno == EINTR, "epoll_wait");
    for (int index = 0; index < ready; index++) {
      int handle = events[index].data.fd;
      if (handle != listener) {
        echo(handle);
      } else if ((handle = accept(listener, NULL, NULL)) >= 0) {
        watch(epoll, handle);
      }
    }
  }
}
