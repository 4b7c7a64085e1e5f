"""Which of Orthanc's texts are not what the file says, since Orthanc could not decode them.

Orthanc (1.10.1 to 1.13.0) knows one character set per file. Where ISO 2022 switches from a first set that is named to
others (PS3.3, section C.12.1.1.2), it decodes with the one alone: of ``ISO 2022 IR 6`` and IR 87 the escape sequences
are left in the text; of ``ISO 2022 IR 13`` and IR 87 nothing is left but harmless-looking ASCII, "F,It" for two kanji.
IR 13 is JIS X 0201, in which a backslash between values is a yen sign.

Of a set whose name it does not know, misspelt or too new, it keeps the ASCII letters and drops all others without a
trace. So it does where ISO_IR 6, which is ASCII alone, is said of a text that holds more. Files that say so, and mean
it, are too many to read them all: such letters stay lost.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicom.values import Value

CHARACTER_SET = "0008,0005"

# Remains of escape sequences, what JIS X 0201 has in the place of ASCII, and what cannot stand in a text.
_MANGLED = re.compile(r"\$[!-~]|\([BIJT]|[\x00-\x08\x0e-\x1f\x7f\ufffd\u00a5\u203e]")
# Half-width katakana are written with IR 13, by those who write kanji with IR 87 beside it.
_HALF_WIDTH = re.compile("[\uff61-\uff9f]")

# The names that Orthanc takes for a character set, without regard to case.
_KNOWN = frozenset(
    {
        *(f"ISO_IR {number}" for number in (6, 13, 100, 101, 109, 110, 126, 127, 138, 144, 148, 166, 192)),
        *(f"ISO 2022 IR {number}" for number in (6, 13, 58, 87, 100, 101, 109, 110, 126, 127, 138, 144, 148, 149, 166)),
        *("GB18030", "GBK"),
    }
)


def is_mangled(text: str) -> bool:
    """Say whether a text shows that it was not decoded; texts that merely look so are read again in vain.

    Examples
    --------
    >>> is_mangled("$B;3ED(B"), is_mangled("Op^A\\u00a5Op^B"), is_mangled("Op^A")
    (True, True, False)
    """
    return not (text.isascii() and text.isalnum()) and _MANGLED.search(text) is not None


def is_decodable(character_set: str | None) -> bool:
    """Say whether Orthanc decodes all texts of a file with this SpecificCharacterSet.

    Examples
    --------
    >>> is_decodable("ISO_IR 192"), is_decodable("\\\\ISO 2022 IR 87"), is_decodable("ISO 2022 IR 13\\\\ISO 2022 IR 87")
    (True, True, False)
    >>> is_decodable(""), is_decodable("ISO IR 100"), is_decodable("\\\\UTF8")
    (True, False, False)
    """
    # In the JSON of a file with IR 13 this very backslash is a yen sign too.
    first, *others = re.split(r"[\\\u00a5]", (character_set or "").upper())
    if first.strip() or not others:
        return not others and (not first.strip() or first.strip() in _KNOWN)
    return len(others) == 1 and (not others[0].strip() or others[0].strip() in _KNOWN)


def shows_undecoded_strings(values: Mapping[str, Value]) -> bool:
    """Say whether a study's own values show that its texts, and those of its series, may be mangled without a trace.

    That is so where half-width katakana are written, and where the ideographic or phonetic group of a person name is
    ASCII. Without a name that shows it, kanji in the descriptions of a study may stay mangled: the database keeps no
    character set. `Session.verify_index` finds these.

    Examples
    --------
    >>> shows_undecoded_strings({"PatientName": ("YAMADA^TAROU=;3ED^B@O:",)})
    True
    >>> shows_undecoded_strings({"PatientName": ("YAMADA^TAROU",)})
    False
    """
    for name, value in values.items():
        for part in value or ():
            if not isinstance(part, str):
                continue
            if _HALF_WIDTH.search(part):
                return True
            groups = part.split("=")[1:] if parse_tag(name).vr == "PN" else ()
            if any(group.strip("^ ") and group.isascii() for group in groups):
                return True
    return False
