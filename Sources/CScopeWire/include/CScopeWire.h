// The generated wire messages and the arena they are unpacked into.
#ifndef CSCOPEWIRE_H
#define CSCOPEWIRE_H

#include "scope/v1/envelope.pb-c.h"
#include "scope_arena.h"

#endif
