"""The questions that a PACS is asked, each one C-FIND that an Orthanc server sends.

A PACS need only answer questions about one study or one series: the unique keys of all levels above are always given
(PS3.4, section C.4.1.2.1). C-FIND has no option for how many answers are wanted, and a PACS may have its own limit.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

from simple_orthanc.dicom.levels import LEVELS, Level, depth
from simple_orthanc.dicom.tags import INDEX_TAGS, Tag, parse_tag
from simple_orthanc.dicom.times import parse_date
from simple_orthanc.errors import ServerError, UnsupportedError, stacklevel
from simple_orthanc.rest.remote.queries import NUMBER_OF_CHILDREN, USUAL_LIMIT, Answer, find, may_be_limit, refusal
from simple_orthanc.selection.predicates import AnyOf, Predicate, StringIs, has_wildcard, is_identifier
from simple_orthanc.sources.filters import Filter, filters_for
from simple_orthanc.sources.keys import UID_TAGS, Key, is_plain

if TYPE_CHECKING:
    from simple_orthanc.rest import Rest

# No PACS answers these, and the order of slices is not worth a question.
_NEVER_ASKED = frozenset({"ImagePositionPatient", "ImageOrientationPatient"})

ASKED: dict[Level, dict[str, Tag]] = {
    level: {tag.name: tag for tag in tags.values() if tag.name not in _NEVER_ASKED}
    for level, tags in INDEX_TAGS.items()
}
"""The tags of the rows of a PACS: level to name to tag."""

NUMBERS_OF_CHILDREN: dict[Level, Tag] = {level: parse_tag(name) for level, name in NUMBER_OF_CHILDREN.items()}
NUMBER_OF_IMAGES = parse_tag("NumberOfStudyRelatedInstances")


class Queries:
    """The queries of one PACS.

    Parameters
    ----------
    rest : Rest
        The REST API of the server that sends them.
    modality : str
        Its name in the configuration of that server.
    description : str
        The PACS in messages.
    timeout : int, optional
        Seconds that the server waits for each answer.

    Attributes
    ----------
    lossy_character_sets : set of str
        Character sets in which Orthanc wrote answers, and which may lack characters of the PACS.
    """

    def __init__(self, rest: Rest, modality: str, description: str, timeout: int | None) -> None:
        self._rest, self._modality, self._timeout = rest, modality, timeout
        self.description = description
        self.lossy_character_sets: set[str] = set()
        self._has_warned = False

    def find(self, level: Level, filters: Mapping[str, str], parent: Key | None = None) -> list[Answer]:
        """Ask for the objects of a level, in the whole archive or below one object.

        Raises
        ------
        ServerError
            The PACS did not answer, or refused; see `is_refusal`.
        """
        keys = dict.fromkeys(ASKED[level], "")
        keys |= {tag.name: "" for tag in self._counts(level)}
        if parent is not None:
            keys |= {UID_TAGS[above]: parent[depth(above)] for above in LEVELS[1 : depth(level)]}
        found = find(self._rest, self._modality, level, {**keys, **filters}, timeout=self._timeout)
        lossy = found.character_sets - {"", "ISO_IR 192"}
        if lossy and not self._has_warned and any(map(_lacks_characters, found.answers)):
            self._has_warned = True
            warnings.warn(
                f"Characters are missing in names of {self.description}: the Orthanc writes its answers in "
                f'{", ".join(sorted(lossy))}. Set "DefaultEncoding": "Utf8" in its configuration, or '
                'orthanc.rest.put("/tools/default-encoding", "Utf8") until it is restarted; then refresh() this '
                "session.",
                stacklevel=stacklevel(),
            )
        self.lossy_character_sets |= lossy
        return found.answers

    def _counts(self, level: Level) -> list[Tag]:
        counted = [NUMBERS_OF_CHILDREN[level]] if level in NUMBERS_OF_CHILDREN else []
        return [*counted, NUMBER_OF_IMAGES] if level == "study" else counted

    def below(self, level: Level, parent: Key) -> list[Answer]:
        """Ask for what is in a study or series.

        Raises
        ------
        UnsupportedError
            The PACS refuses to search at this level.
        """
        try:
            return self.find(level, {}, parent)
        except ServerError as error:
            if not is_refusal(error):
                raise
            raise UnsupportedError(
                f"{self.description} refuses to search at the level {level}: {error.details}. Select by tags of the "
                f"{LEVELS[depth(level) - 1]}; retrieve() brings what is selected to the Orthanc, where everything can "
                "be selected."
            ) from None

    def studies(self, filters: Mapping[str, str]) -> list[Answer]:
        """Ask for studies, and find those that a limit of the PACS hides, as far as their dates show them.

        Orthanc 1.13.0, for one, answers with success and no more than its LimitFindResults.

        Warns
        -----
        UserWarning
            There is such a limit, or there may be one.
        """
        answers = self.find("study", filters)
        count = _count(answers)
        # A range in the form before DICOM 3 is asked for beside another one.
        if not may_be_limit(count) or "." in filters.get("StudyDate", ""):
            return answers
        low, dash, high = filters.get("StudyDate", "-").partition("-")
        more, is_whole = self._by_day(filters, low, high, count, answers) if dash else ([], False)
        hidden = _count([*answers, *more]) - count
        if hidden:
            warnings.warn(
                f"{self.description} answers with {count} studies at most, and holds more: {hidden} others were found "
                f"by their dates. Studies without a StudyDate{'' if is_whole else ', or of one day,'} may still be "
                "missing. Narrow by PatientID, AccessionNumber, StudyInstanceUID or StudyDate first.",
                stacklevel=stacklevel(),
            )
        elif not is_whole and count >= USUAL_LIMIT:
            warnings.warn(
                f"{self.description} answered with exactly {count} studies, which may be the most that it answers "
                "with, and their dates do not show others. Narrow further to be sure.",
                stacklevel=stacklevel(),
            )
        return [*answers, *more]

    def _by_day(
        self, filters: Mapping[str, str], low: str, high: str, limit: int, answers: Sequence[Answer]
    ) -> tuple[list[Answer], bool]:
        """Ask for the studies before the middle one of the days of some answers, of that day, and after it.

        Returns
        -------
        list of Answer, bool
            What was found, and whether no limit can have hidden a study with a date.
        """
        middle = _middle_day(answers)
        if middle is None:
            return [], False
        found: list[Answer] = []
        is_whole = True
        before, after = (_written(middle + timedelta(days)) for days in (-1, 1))
        for start, end in ((low, before), (_written(middle),) * 2, (after, high)):
            if start and end and start > end:
                continue
            part = self.find("study", {**filters, "StudyDate": start if start == end else f"{start}-{end}"})
            found += part
            if _count(part) >= limit:
                more, is_part_whole = self._by_day(filters, start, end, limit, part) if start != end else ([], False)
                found += more
                is_whole = is_whole and is_part_whole
        return found, is_whole


def keys_for(tag: Tag, predicate: Predicate) -> tuple[Filter, ...] | None:
    """List the keys that together find at least the rows for which a predicate holds; None if there are none.

    Beside those of `filters_for`, which may be any number here, since to list a PACS takes longer: wildcards in an
    identifier. Every PACS knows these, and if one ignores case it finds more.

    Examples
    --------
    >>> keys_for(parse_tag("PatientID"), StringIs("TRIAL-0?*", cased=True))
    (Filter(value='TRIAL-0?*', is_optional=False),)
    >>> keys_for(parse_tag("PatientName"), StringIs("Doe*")) is None
    True
    """
    if isinstance(predicate, AnyOf):
        listed = [keys_for(tag, alternative) for alternative in predicate.predicates]
        if not listed or None in listed:
            return None
        return tuple(dict.fromkeys(item for keys in listed for item in keys or ()))
    is_pattern = isinstance(predicate, StringIs) and predicate.cased and predicate.mode != "exact"
    if isinstance(predicate, StringIs) and is_pattern and tag.vr != "UI" and is_identifier(tag):
        plain = predicate.string.replace("*", "").replace("?", "")
        if has_wildcard(predicate.string) and is_plain(plain):
            return (Filter(predicate.string),)
    return filters_for(tag, predicate, most=None)


def is_refusal(error: ServerError) -> bool:
    """Check whether a PACS answered that it does not answer: it is alive, and does not search for this."""
    return refusal(error) is not None


def _lacks_characters(answer: Answer) -> bool:
    """Check whether a name shows that characters were left out: nothing is left of one of its groups."""
    groups = (answer.get(ASKED["study"]["PatientName"].number) or "").split("=")
    return any(group.strip() and not any(map(str.isalnum, group)) for group in groups)


def _count(answers: Sequence[Answer]) -> int:
    number = ASKED["study"]["StudyInstanceUID"].number
    return len({answer.get(number) for answer in answers})


def _middle_day(answers: Sequence[Answer]) -> date | None:
    number = ASKED["study"]["StudyDate"].number
    days = sorted(day for answer in answers if (day := parse_date(answer.get(number) or "")) and 1 < day.year < 9999)
    return days[len(days) // 2] if days else None


def _written(day: date) -> str:
    return f"{day.year:04d}{day.month:02d}{day.day:02d}"
