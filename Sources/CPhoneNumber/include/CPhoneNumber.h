// Phone numbers as people write them to canonical E.164, by libphonenumber: the little of it that an import needs, for C.
#ifndef CPHONENUMBER_H
#define CPHONENUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// What a text is.
enum phone_number_kind {
  PHONE_NUMBER_VALID = 0,
  PHONE_NUMBER_NOT_A_NUMBER,     // letters, nothing at all, or far too long
  PHONE_NUMBER_NO_REGION,        // a national number, and no region was given
  PHONE_NUMBER_UNKNOWN_COUNTRY,  // no country has this calling code
  PHONE_NUMBER_TOO_SHORT,
  PHONE_NUMBER_TOO_LONG,
  PHONE_NUMBER_NOT_VALID,        // no such number is given out in its country
  PHONE_NUMBER_SHORT,            // an emergency or other short number, which exists within a country only
  PHONE_NUMBER_EXTENSION         // a number with an extension, which E.164 can't say
};

// Reads numbers of one region. Used by one thread at a time; any number of readers may be used at once.
struct phone_number_reader;

// `region` is that of numbers without a country's code, as two capitals ("DE"); "": such numbers are refused.
// Returns NULL without memory.
struct phone_number_reader *phone_number_reader_create(const char *region);

// Frees the reader. NULL is allowed.
void phone_number_reader_destroy(struct phone_number_reader *reader);

// Reads one number of UTF-8 text. With PHONE_NUMBER_VALID, `digits` is the number as E.164 without the plus, 7 to 15
// digits as an integer; otherwise it is not written.
enum phone_number_kind phone_number_read(struct phone_number_reader *reader, const char *text, size_t bytes,
                                         uint64_t *digits);

// Whether numbers of the region, two capitals ("DE"), are known.
bool phone_number_knows_region(const char *region);

#ifdef __cplusplus
}
#endif

#endif
