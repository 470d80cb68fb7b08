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

// ------------------------------------------------------------------------------------- what a number is made of

// Of UTF-8 text, the code point at `place`, which moves behind it; one that is no code point for what is not UTF-8.
char32_t Next(const std::string &text, size_t &place) {
  constexpr char32_t kNone = 0xFFFFFFFF;
  const unsigned char first = static_cast<unsigned char>(text[place++]);
  if (first < 0x80) return first;
  const int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : first >= 0xC0 ? 1 : -1;
  if (more < 0 || text.size() - place < static_cast<size_t>(more)) return kNone;
  constexpr char32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
  char32_t sign = first & (0x3F >> more);
  for (int left = more; left > 0; --left) {
    const unsigned char byte = static_cast<unsigned char>(text[place]);
    if ((byte & 0xC0) != 0x80) return kNone;
    sign = sign << 6 | (byte & 0x3F);
    ++place;
  }
  return sign < kLeast[more] ? kNone : sign;  // a digit in more bytes than it takes is none
}

bool IsBlank(char32_t sign) {
  return sign == ' ' || sign == '\t' || sign == 0xA0 || (sign >= 0x2000 && sign <= 0x200A) || sign == 0x202F ||
         sign == 0x3000;
}

bool IsHyphen(char32_t sign) {
  return sign == '-' || (sign >= 0x2010 && sign <= 0x2015) || sign == 0x2212 || sign == 0xFF0D;
}

// Of ASCII, full-width, and both kinds of Arabic digits; -1: none.
int DigitOf(char32_t sign) {
  for (const char32_t zero : {U'0', U'\uFF10', U'\u0660', U'\u06F0'}) {
    if (sign >= zero && sign <= zero + 9) return static_cast<int>(sign - zero);
  }
  return -1;
}

bool IsLetter(char32_t sign) { return (sign >= 'a' && sign <= 'z') || (sign >= 'A' && sign <= 'Z'); }

char KeyOf(char32_t letter) { return "22233344455566677778889999"[(letter | 0x20) - 'a']; }

// "493055500112.0", "4.93E+11", "493055500112,5". A single dot behind a 0 or a plus may stand between the parts of a number.
bool IsFraction(const std::u32string &signs) {
  size_t place = 0, digits = 0, fraction = 0, zeros = 0;
  bool has_point = false, has_exponent = false, is_comma = false;
  if (place < signs.size() && (signs[place] == '+' || signs[place] == '-')) ++place;
  const bool may_be_parts = place < signs.size() && (signs[0] == '+' || signs[place] == '0');
  for (; place < signs.size(); ++place) {
    const char32_t sign = signs[place];
    if (DigitOf(sign) >= 0) {
      ++(has_point ? fraction : digits);
      if (has_point && DigitOf(sign) == 0) ++zeros;
    } else if ((sign == '.' || sign == ',') && !has_point && digits > 0) {
      has_point = true;
      is_comma = sign == ',';
    } else {
      break;
    }
  }
  if (place < signs.size() && (signs[place] == 'e' || signs[place] == 'E') && digits > 0) {
    if (++place < signs.size() && (signs[place] == '+' || signs[place] == '-')) ++place;
    has_exponent = place < signs.size();
    while (place < signs.size() && DigitOf(signs[place]) >= 0) ++place;
  }
  if (place != signs.size() || !(has_point || has_exponent)) return false;
  constexpr size_t kLeastPart = 5;
  return has_exponent || is_comma || zeros == fraction || fraction < kLeastPart || !may_be_parts;
}

// Whether what follows a number names an extension: "ext. 7", "x7", "#7", ";ext=7".
bool IsExtension(std::u32string signs) {
  size_t end = signs.size();
  while (end > 0 && DigitOf(signs[end - 1]) >= 0) --end;
  if (end == signs.size()) return false;
  std::string word;
  for (const char32_t sign : signs.substr(0, end)) {
    if (sign >= 0x80) return false;
    if (!IsBlank(sign)) word += static_cast<char>(sign | (IsLetter(sign) ? 0x20 : 0));
  }
  while (!word.empty() && (word.back() == '.' || word.back() == ':' || word.back() == '=')) word.pop_back();
  if (!word.empty() && (word[0] == ';' || word[0] == ',' || word[0] == '(')) word.erase(0, 1);
  return word == "x" || word == "#" || word == "ext" || word == "extn" || word == "extension" || word == "int" ||
         word == "dw" || word == "durchwahl";
}

// Reads what a number is made of into digits, with a plus before them if there is one; anything but VALID: it is not one.
// `may_be_two`: a sign stands between so many digits that two numbers of one country may stand there.
phone_number_kind Digits(const std::string &text, bool vanity, std::string &digits, bool &may_be_two) {
  constexpr int kMostBetween = 3;         // ") - "
  constexpr size_t kLeastBehindSlash = 4;  // "/8" names another number
  constexpr size_t kMostBeforeSlash = 7;   // "0049 171/"
  constexpr size_t kLeastOfTwo = 6, kLeastTogether = 14;  // one, in Argentina: "03327 15-551234"
  digits.clear();
  std::u32string signs;
  for (size_t place = 0; place < text.size();) signs += Next(text, place);
  while (!signs.empty() && IsBlank(signs.front())) signs.erase(0, 1);
  while (!signs.empty() && IsBlank(signs.back())) signs.pop_back();
  if (IsFraction(signs)) return PHONE_NUMBER_FRACTION;
  if (signs.size() > 4 && (signs.substr(0, 4) == U"tel:" || signs.substr(0, 4) == U"TEL:")) signs.erase(0, 4);
  bool is_open = false, is_slash_seen = false;
  size_t slash = 0, count = 0, opened = 0, first = 0;
  int between = 0;
  for (size_t place = 0; place < signs.size(); ++place) {
    const char32_t sign = signs[place];
    const bool is_last = place + 1 == signs.size();
    const int digit = DigitOf(sign);
    if (digit >= 0 || (vanity && IsLetter(sign) && count >= 3)) {
      digits += digit >= 0 ? static_cast<char>('0' + digit) : KeyOf(sign);
      ++count;
      between = 0;
    } else if ((sign == '+' || sign == 0xFF0B) && digits.empty()) {
      digits = "+";
    } else if (sign == '(' && !is_open && !is_last) {
      is_open = true;
      opened = count;
      ++between;
    } else if (sign == ')' && is_open && count > opened && !is_last) {
      is_open = false;
      ++between;
    } else if (sign == '/' && !is_slash_seen && count > 0 && count <= kMostBeforeSlash && !is_last) {
      is_slash_seen = true;
      slash = count;
      ++between;
    } else if ((IsBlank(sign) || IsHyphen(sign) || sign == '.') && !digits.empty() && !is_last) {
      ++between;
    } else {
      return count > 0 && IsExtension(signs.substr(place)) ? PHONE_NUMBER_EXTENSION : PHONE_NUMBER_NOT_A_NUMBER;
    }
    if (first == 0 && count >= kLeastOfTwo && digit < 0 && !IsBlank(sign) && !IsLetter(sign)) first = count;
    if (between > kMostBetween) return PHONE_NUMBER_NOT_A_NUMBER;
  }
  may_be_two = first > 0 && count - first >= kLeastOfTwo && count >= kLeastTogether && digits[0] != '+';
  const bool is_behind_slash = is_slash_seen && count - slash < kLeastBehindSlash;
  return count == 0 || is_open || is_behind_slash ? PHONE_NUMBER_NOT_A_NUMBER : PHONE_NUMBER_VALID;
}

}  // namespace

struct phone_number_reader {
  phone_number_reader(const char *region, bool vanity) : region(region), vanity(vanity) {}

  phone_number_kind Read(uint64_t *digits);
  phone_number_kind Refusal(phone_number_kind kind);
  bool IsShort() const;

  const std::string region;
  const bool vanity;
  const ShortNumberInfo shorts;
  std::string given;   // these are kept for their memory
  std::string text;    // digits, and a plus before them if there is one
  PhoneNumber number;
};

phone_number_kind phone_number_reader::Read(uint64_t *digits) {
  bool may_be_two = false;
  const phone_number_kind made_of = Digits(given, vanity, text, may_be_two);
  if (made_of != PHONE_NUMBER_VALID) return made_of;
  const bool international = text[0] == '+';
  const std::string &country = region.empty() ? "ZZ" : region;
  number.Clear();
  const auto error = may_be_two ? Util().ParseAndKeepRawInput(text, country, &number)  // it tells where the country is from
                                : Util().Parse(text, country, &number);
  if (error != PhoneNumberUtil::NO_PARSING_ERROR) {
    return Refusal(KindOf(error, !region.empty() || international));
  }
  if (may_be_two && number.country_code_source() == PhoneNumber::FROM_DEFAULT_COUNTRY) return PHONE_NUMBER_NOT_A_NUMBER;
  if (!Util().IsValidNumber(number)) return Refusal(KindOf(Util().IsPossibleNumberWithReason(number)));
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

struct phone_number_reader *phone_number_reader_create(const char *region, bool vanity) {
  Util();
  return new (std::nothrow) phone_number_reader(region, vanity);
}

void phone_number_reader_destroy(struct phone_number_reader *reader) { delete reader; }

enum phone_number_kind phone_number_read(struct phone_number_reader *reader, const char *text, size_t bytes,
                                         uint64_t *digits) {
  reader->given.assign(text, bytes);
  return reader->Read(digits);
}

bool phone_number_knows_region(const char *region) {
  std::set<std::string> regions;
  Util().GetSupportedRegions(&regions);
  return regions.count(region) != 0;
}

size_t phone_number_example(const char *region, bool mobile, int style, char *text, size_t capacity) {
  PhoneNumber number;
  const auto type = mobile ? PhoneNumberUtil::MOBILE : PhoneNumberUtil::FIXED_LINE;
  if (!Util().GetExampleNumberForType(region, type, &number)) return 0;
  std::string written;
  const PhoneNumberUtil::PhoneNumberFormat formats[] = {PhoneNumberUtil::E164, PhoneNumberUtil::INTERNATIONAL,
                                                        PhoneNumberUtil::NATIONAL, PhoneNumberUtil::RFC3966};
  Util().Format(number, formats[style & 3], &written);
  if (written.size() >= capacity) return 0;
  return written.copy(text, written.size());
}
