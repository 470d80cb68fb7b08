#include "CPhoneNumber.h"

#include <phonenumbers/logger.h>
#include <phonenumbers/phonenumberutil.h>
#include <phonenumbers/shortnumberinfo.h>

#include <algorithm>
#include <new>
#include <set>
#include <string>

using i18n::phonenumbers::NullLogger;
using i18n::phonenumbers::PhoneNumber;
using i18n::phonenumbers::PhoneNumberUtil;
using i18n::phonenumbers::ShortNumberInfo;

namespace {

// Two or three digits are an emergency number somewhere, and a number nowhere.
constexpr long kEmergencyDigits = 3;
// Longer ones are no short numbers in any country.
constexpr long kShortDigits = 6;
constexpr uint64_t kLeastE164 = 1000000;               // 7 digits
constexpr uint64_t kMostE164 = 1000000000000000 - 1;  // 15 digits

const PhoneNumberUtil &Util() {
  static PhoneNumberUtil *util = [] {
    PhoneNumberUtil *made = PhoneNumberUtil::GetInstance();
    made->SetLogger(new NullLogger);  // it would write to standard output; taken over by the library
    return made;
  }();
  return *util;
}

// The digits as an integer: the country's code, zeros in front as Italy has them, and the national number.
uint64_t DigitsOf(const PhoneNumber &number) {
  uint64_t scale = 1;
  for (uint64_t rest = number.national_number(); rest != 0; rest /= 10) scale *= 10;
  if (number.italian_leading_zero()) {
    for (int zeros = std::min(number.number_of_leading_zeros(), 15); zeros > 0; --zeros) scale *= 10;
  }
  if (scale > kMostE164) return UINT64_MAX;
  return static_cast<uint64_t>(number.country_code()) * scale + number.national_number();
}

phone_number_kind KindOf(PhoneNumberUtil::ErrorType error, bool has_region) {
  switch (error) {
    case PhoneNumberUtil::NO_PARSING_ERROR: return PHONE_NUMBER_VALID;
    case PhoneNumberUtil::INVALID_COUNTRY_CODE_ERROR:
      return has_region ? PHONE_NUMBER_UNKNOWN_COUNTRY : PHONE_NUMBER_NO_REGION;
    case PhoneNumberUtil::TOO_SHORT_AFTER_IDD:
    case PhoneNumberUtil::TOO_SHORT_NSN: return PHONE_NUMBER_TOO_SHORT;
    case PhoneNumberUtil::TOO_LONG_NSN: return PHONE_NUMBER_TOO_LONG;
    case PhoneNumberUtil::NOT_A_NUMBER: return PHONE_NUMBER_NOT_A_NUMBER;
  }
  return PHONE_NUMBER_NOT_A_NUMBER;
}

phone_number_kind KindOf(PhoneNumberUtil::ValidationResult length) {
  switch (length) {
    case PhoneNumberUtil::TOO_SHORT: return PHONE_NUMBER_TOO_SHORT;
    case PhoneNumberUtil::TOO_LONG: return PHONE_NUMBER_TOO_LONG;
    default: return PHONE_NUMBER_NOT_VALID;
  }
}

}  // namespace

struct phone_number_reader {
  explicit phone_number_reader(const char *region) : region(region) {}

  phone_number_kind Read(uint64_t *digits);
  phone_number_kind Refusal(phone_number_kind kind);
  bool IsShort() const;

  const std::string region;
  const ShortNumberInfo shorts;
  std::string text;    // both are kept for their memory
  PhoneNumber number;
};

phone_number_kind phone_number_reader::Read(uint64_t *digits) {
  const bool international = text.find('+') != std::string::npos || text.find("\xEF\xBC\x8B") != std::string::npos;
  number.Clear();
  const auto error = Util().Parse(text, region.empty() ? "ZZ" : region, &number);
  if (error != PhoneNumberUtil::NO_PARSING_ERROR) {
    return Refusal(KindOf(error, !region.empty() || international));
  }
  if (!Util().IsValidNumber(number)) return Refusal(KindOf(Util().IsPossibleNumberWithReason(number)));
  if (number.has_extension()) return PHONE_NUMBER_EXTENSION;
  const uint64_t value = DigitsOf(number);
  if (value < kLeastE164) return PHONE_NUMBER_TOO_SHORT;
  if (value > kMostE164) return PHONE_NUMBER_TOO_LONG;
  *digits = value;
  return PHONE_NUMBER_VALID;
}

// Of a number that is refused: short numbers have a kind of their own.
phone_number_kind phone_number_reader::Refusal(phone_number_kind kind) { return IsShort() ? PHONE_NUMBER_SHORT : kind; }

bool phone_number_reader::IsShort() const {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto count = std::count_if(text.begin(), text.end(), is_digit);
  if (count < 2 || count > kShortDigits || text.find('+') != std::string::npos) return false;
  if (static_cast<size_t>(count) == text.size() && (count <= kEmergencyDigits || region.empty())) return true;
  if (region.empty()) return false;
  if (shorts.ConnectsToEmergencyNumber(text, region)) return true;
  PhoneNumber candidate;
  return Util().Parse(text, region, &candidate) == PhoneNumberUtil::NO_PARSING_ERROR &&
         shorts.IsValidShortNumberForRegion(candidate, region);
}

struct phone_number_reader *phone_number_reader_create(const char *region) {
  Util();
  return new (std::nothrow) phone_number_reader(region);
}

void phone_number_reader_destroy(struct phone_number_reader *reader) { delete reader; }

enum phone_number_kind phone_number_read(struct phone_number_reader *reader, const char *text, size_t bytes,
                                         uint64_t *digits) {
  reader->text.assign(text, bytes);
  return reader->Read(digits);
}

bool phone_number_knows_region(const char *region) {
  std::set<std::string> regions;
  Util().GetSupportedRegions(&regions);
  return regions.count(region) != 0;
}
