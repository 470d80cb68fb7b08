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
  PHONE_NUMBER_EXTENSION,        // a number with an extension, which E.164 can't say
  PHONE_NUMBER_FRACTION          // a number with a fraction or an exponent, as spreadsheets write it
};

// What a number is made of, beside blanks around it: digits, a plus before the first of them, and between them blanks,
// hyphens, dots, one slash before the last four or more, and brackets around some. "tel:" may stand in front. Fourteen
// digits without a country's code, with a sign between six and six, may be two numbers and are none. libphonenumber
// takes what it can out of any text: another sign is refused here, before it sees one, so that "5550-xxx" or
// "030 12 (Bob)" becomes no other number.

// Reads numbers of one region. Used by one thread at a time; any number of readers may be used at once.
struct phone_number_reader;

// `region` is that of numbers without a country's code, as two capitals ("DE"); "": such numbers are refused.
// `vanity`: letters behind the first three digits stand for digits, as on a keypad. Returns NULL without memory.
struct phone_number_reader *phone_number_reader_create(const char *region, bool vanity);

// Frees the reader. NULL is allowed.
void phone_number_reader_destroy(struct phone_number_reader *reader);

// Reads one number of UTF-8 text. With PHONE_NUMBER_VALID, `digits` is the number as E.164 without the plus, 7 to 15
// digits as an integer; otherwise it is not written.
enum phone_number_kind phone_number_read(struct phone_number_reader *reader, const char *text, size_t bytes,
                                         uint64_t *digits);

// For tests: an example of the region's mobile numbers, or of its fixed ones, as it is usually written: 0 E.164,
// 1 international, 2 national, 3 RFC 3966. Returns its length, less than `capacity`; 0: there is none.
size_t phone_number_example(const char *region, bool mobile, int style, char *text, size_t capacity);

// Whether numbers of the region, two capitals ("DE"), are known.
bool phone_number_knows_region(const char *region);

#ifdef __cplusplus
}
#endif

#endif
