// POSIX's wcwidth, which Swift's Glibc module leaves out.
#ifndef SCOPE_COLUMNS_H
#define SCOPE_COLUMNS_H

#include <stdint.h>

// Columns of a terminal that a Unicode scalar takes: 0 for what stands on top of another, 2 for the signs of some
// scripts; 1 where the system does not know.
int scope_columns(uint32_t scalar);

#endif
