"""The questions that a PACS is asked, each one C-FIND that an Orthanc server sends.

A PACS need only answer questions about one study or one series: the unique keys of all levels above are always given
(PS3.4, section C.4.1.2.1). C-FIND has no option for how many answers are wanted, and a PACS may have its own limit.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

from simple_orthanc.dicom.levels import LEVELS, Level, depth
from simple_orthanc.dicom.tags import INDEX_TAGS, Tag, parse_tag
from simple_orthanc.errors import ServerError, UnsupportedError, stacklevel
from simple_orthanc.rest.remote.queries import Answer, find, refusal
from simple_orthanc.sources.keys import UID_TAGS, Key

if TYPE_CHECKING:
    from simple_orthanc.rest import Rest

# No PACS answers these, and the order of slices is not worth a question.
_NEVER_ASKED = frozenset({"ImagePositionPatient", "ImageOrientationPatient"})

ASKED: dict[Level, dict[str, Tag]] = {
    level: {tag.name: tag for tag in tags.values() if tag.name not in _NEVER_ASKED}
    for level, tags in INDEX_TAGS.items()
}
"""The tags of the rows of a PACS: level to name to tag."""

NUMBER_OF_CHILDREN: dict[Level, Tag] = {
    "study": parse_tag("NumberOfStudyRelatedSeries"),
    "series": parse_tag("NumberOfSeriesRelatedInstances"),
}
NUMBER_OF_IMAGES = parse_tag("NumberOfStudyRelatedInstances")

# As many answers as a limit may allow: a multiple of the second, and at least the first.
_LEAST_LIMIT, _STEP_OF_LIMITS = 100, 50


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
                'orthanc.rest.put("/tools/default-encoding", "Utf8") until it is restarted.',
                stacklevel=stacklevel(),
            )
        self.lossy_character_sets |= lossy
        return found.answers

    def _counts(self, level: Level) -> list[Tag]:
        counted = [NUMBER_OF_CHILDREN[level]] if level in NUMBER_OF_CHILDREN else []
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
        """Ask for studies, and find out whether a limit of the PACS hides some.

        Warns
        -----
        UserWarning
            There is such a limit, or there may be one.
        """
        answers = self.find("study", filters)
        count = len({_uid(answer) for answer in answers})
        if count < _LEAST_LIMIT or count % _STEP_OF_LIMITS:
            return answers
        more = self._on_both_sides(filters, answers)
        hidden = len({_uid(answer) for answer in more} - {_uid(answer) for answer in answers})
        if hidden:
            warnings.warn(
                f"{self.description} answers with {count} studies at most, and holds more: {hidden} others were found "
                "by their dates, and some may still be missing. Narrow by PatientID, AccessionNumber, StudyInstanceUID "
                "or StudyDate first.",
                stacklevel=stacklevel(),
            )
        elif not more:
            warnings.warn(
                f"{self.description} answered with exactly {count} studies, which may be the most that it answers "
                "with. Narrow by a shorter range of StudyDate to be sure.",
                stacklevel=stacklevel(),
            )
        return [*answers, *more]

    def _on_both_sides(self, filters: Mapping[str, str], answers: list[Answer]) -> list[Answer]:
        """Ask for the studies up to the middle date, and from it on; nothing if there are no dates to ask for."""
        number = ASKED["study"]["StudyDate"].number
        days = sorted(day for answer in answers if len(day := answer.get(number) or "") == 8 and day.isdecimal())
        if "StudyDate" in filters or not days:
            return []
        middle = days[len(days) // 2]
        sides = (f"-{middle}", f"{middle}-")
        return [answer for side in sides for answer in self.find("study", {**filters, "StudyDate": side})]


def is_refusal(error: ServerError) -> bool:
    """Check whether a PACS answered that it does not answer: it is alive, and does not search for this."""
    return refusal(error) is not None


def _lacks_characters(answer: Answer) -> bool:
    """Check whether a name shows that characters were left out: nothing is left of one of its groups."""
    groups = (answer.get(ASKED["study"]["PatientName"].number) or "").split("=")
    return any(group.strip() and not any(map(str.isalnum, group)) for group in groups)


def _uid(answer: Answer) -> str | None:
    return answer.get(ASKED["study"]["StudyInstanceUID"].number)
