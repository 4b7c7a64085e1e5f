"""Strings that Orthanc could not decode, and so are not what the file holds: how to recognize them.

Orthanc (1.10.1 to 1.13.0) uses one character set per file. Where ISO 2022 switches from a first set that is named to
others (PS3.3, section C.12.1.1.2), it decodes with the first alone. For ``ISO 2022 IR 6`` and IR 87 the escape
sequences stay in the string; for ``ISO 2022 IR 13`` and IR 87 only harmless-looking ASCII is left, "F,It" for two
kanji. IR 13 is JIS X 0201, in which a backslash between values is a yen sign.

For a character set whose name it does not know, misspelt or too new, it keeps the ASCII characters and drops all others
without a trace. It does the same where ISO_IR 6, which is ASCII alone, is declared for a string that holds more. Files
that declare it correctly are too many to read them all: such characters stay lost.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicom.values import Value

CHARACTER_SET = "0008,0005"

# Remains of escape sequences, what JIS X 0201 has in place of ASCII, and what no string may contain.
_MANGLED = re.compile(r"\$[!-~]|\([BIJT]|[\x00-\x08\x0e-\x1f\x7f\ufffd\u00a5\u203e]")
# Half-width katakana are encoded with IR 13, by writers who encode kanji with IR 87 beside it.
_HALF_WIDTH = re.compile("[\uff61-\uff9f]")

# The names of character sets that Orthanc knows, without regard to case.
_KNOWN = frozenset(
    {
        *(f"ISO_IR {number}" for number in (6, 13, 100, 101, 109, 110, 126, 127, 138, 144, 148, 166, 192)),
        *(f"ISO 2022 IR {number}" for number in (6, 13, 58, 87, 100, 101, 109, 110, 126, 127, 138, 144, 148, 149, 166)),
        *("GB18030", "GBK"),
    }
)


def is_mangled(string: str) -> bool:
    r"""Check whether a string shows that it was not decoded; one that merely looks so is read again in vain.

    Examples
    --------
    >>> is_mangled("$B;3ED(B"), is_mangled("Op^A\u00a5Op^B"), is_mangled("Op^A")
    (True, True, False)
    """
    return not (string.isascii() and string.isalnum()) and _MANGLED.search(string) is not None


def is_decodable(character_set: str | None) -> bool:
    r"""Check whether Orthanc decodes all strings of a file with this SpecificCharacterSet.

    Examples
    --------
    >>> is_decodable("ISO_IR 192"), is_decodable("\\ISO 2022 IR 87"), is_decodable("ISO 2022 IR 13\\ISO 2022 IR 87")
    (True, True, False)
    >>> is_decodable(""), is_decodable("ISO IR 100"), is_decodable("\\UTF8")
    (True, False, False)
    """
    # In the JSON of a file with IR 13 the backslash itself is a yen sign too.
    first, *others = re.split(r"[\\\u00a5]", (character_set or "").upper())
    if first.strip() or not others:
        return not others and (not first.strip() or first.strip() in _KNOWN)
    return len(others) == 1 and (not others[0].strip() or others[0].strip() in _KNOWN)


def shows_undecoded_strings(values: Mapping[str, Value]) -> bool:
    """Check whether a study's own values show that strings in it, or in its series, may be mangled without a trace.

    That is the case if there are half-width katakana, or if the ideographic or phonetic group of a person name is
    ASCII. Without a name that shows it, kanji in the descriptions of a study may stay mangled, since the database does
    not keep the character set. `Session.verify_index` finds these.

    Examples
    --------
    >>> shows_undecoded_strings({"PatientName": ("YAMADA^TAROU=;3ED^B@O:",)})
    True
    >>> shows_undecoded_strings({"PatientName": ("YAMADA^TAROU",)})
    False
    """
    for name, value in values.items():
        for part in value or ():
            if not isinstance(part, str) or (part.isascii() and "=" not in part):
                continue
            if _HALF_WIDTH.search(part):
                return True
            groups = part.split("=")[1:] if parse_tag(name).vr == "PN" else ()
            if any(group.strip("^ ") and group.isascii() for group in groups):
                return True
    return False
