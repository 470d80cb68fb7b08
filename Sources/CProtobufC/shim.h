// The runtime of protobuf-c from the system. A shim, because a module map can't name a header outside
// its folder without an absolute path.
#include <protobuf-c/protobuf-c.h>
