"""Check digits: which rows of digits are somebody's numbers. Pure."""

#: How long an IBAN of each country is. https://www.swift.com/standards/data-standards/iban (registry, release 99)
_IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FI FK FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG YE",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU",
        31: "MT SC",
        33: "RU",
        32: "LC",
    }.items()
    for country in countries.split()
}
_CARD_LENGTHS = {
    "4": (13, 16, 19),  # Visa
    "34": (15,), "37": (15,),  # American Express
    "36": (14,), "38": (14,), "39": (14,), **{str(n): (14,) for n in range(300, 306)},  # Diners Club
    "62": (16, 17, 18, 19),  # UnionPay
    "65": (16,), "6011": (16,), **{str(n): (16,) for n in range(644, 650)},  # Discover
    **{str(n): (16,) for n in range(51, 56)}, **{str(n): (16,) for n in range(2221, 2721)},  # Mastercard
    **{str(n): (16,) for n in range(3528, 3590)},  # JCB
}  # fmt: skip
_LONGEST_PREFIX = 4
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def is_card(digits: str) -> bool:
    """Whether a bank gives out cards with such numbers (ISO/IEC 7812), and the last digit is right (Luhn)."""
    lengths = next(
        (found for size in range(1, _LONGEST_PREFIX + 1) if (found := _CARD_LENGTHS.get(digits[:size]))), ()
    )
    if len(digits) not in lengths:
        return False
    numbers = [int(digit) for digit in reversed(digits)]
    return (sum(numbers[::2]) + sum(_DOUBLED[number] for number in numbers[1::2])) % 10 == 0


def iban_length(country: str) -> int:
    """Letters and digits of a country's IBANs; 0: it has none."""
    return _IBAN_LENGTHS.get(country.upper(), 0)


def is_iban(written: str) -> bool:
    """Whether its check digits are right (ISO 13616, mod 97). `written` has no spaces in it."""
    turned = written[4:] + written[:4]
    return int("".join(str(int(sign, 36)) for sign in turned)) % 97 == 1
