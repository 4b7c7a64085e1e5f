"""Tables of what a modality holds: asked level by level, decided again on the answers, each object once.

A modality need not know keys of other levels (PS3.4, section C.4.1.2.2.1, hierarchical search), so series are asked for
study by study, and instances series by series, each with the unique keys of the levels above.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydicom.charset import python_encoding

from simple_orthanc.concurrency.progress import progress_bar
from simple_orthanc.dicom.levels import LEVELS, Level, depth
from simple_orthanc.dicom.tags import BINARY_VRS, Tag, TagLike, parse_tag
from simple_orthanc.dicom.values import Value, comparable, from_text
from simple_orthanc.errors import SelectionError, UnsupportedError, stacklevel
from simple_orthanc.rest.remote.matching import keys_for, queries_for
from simple_orthanc.rest.remote.queries import NUMBER_OF_CHILDREN, USUAL_LIMIT, Answers, may_be_limit
from simple_orthanc.selection.conditions import Comparison
from simple_orthanc.selection.criteria import condition_for
from simple_orthanc.selection.literals import decide, undecided_strings
from simple_orthanc.selection.predicates import Predicate
from simple_orthanc.selection.tables import check_level, parse_tag_column, typed_column

if TYPE_CHECKING:
    import pandas as pd

Ask = Callable[[Level, Mapping[str, str]], Answers]
"""Sends one C-FIND: level, and keys by the name of their tag."""
Row = dict[str, Value]
"""Name of the tag to its value; without an entry if the answer had none that can be read."""

UNIQUE_KEYS: dict[Level, str] = {
    "patient": "PatientID",
    "study": "StudyInstanceUID",
    "series": "SeriesInstanceUID",
    "instance": "SOPInstanceUID",
}
_COLUMNS: dict[Level, str] = {
    "patient": "PatientID PatientName PatientBirthDate PatientSex",
    "study": """
        PatientID PatientName StudyDate StudyTime StudyDescription ModalitiesInStudy AccessionNumber StudyID
        NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances StudyInstanceUID
    """,
    "series": """
        PatientID PatientName StudyDate Modality SeriesNumber SeriesDescription BodyPartExamined
        NumberOfSeriesRelatedInstances StudyInstanceUID SeriesInstanceUID
    """,
    "instance": """
        PatientID StudyDate Modality SeriesNumber InstanceNumber SOPClassUID StudyInstanceUID SeriesInstanceUID
        SOPInstanceUID
    """,
}
_ORDER: dict[Level, str] = {
    "patient": "PatientID",
    "study": "PatientID StudyDate StudyTime StudyInstanceUID",
    "series": "SeriesNumber SeriesInstanceUID",
    "instance": "InstanceNumber SOPInstanceUID",
}
_UTF8 = "ISO_IR 192"
_ASCII = ("", "ISO_IR 6", "ISO 2022 IR 6")


@dataclass(frozen=True)
class Question:
    """What is asked of a modality.

    Attributes
    ----------
    level : Level
        One row for each object of this level.
    columns : tuple of (str, Tag)
        The columns: name and tag.
    conditions : tuple of (Tag, Predicate)
        What a row must satisfy.
    is_default : bool
        Whether nobody asked for these columns by name.
    as_written : bool
        Whether strings are sent as they are.
    """

    level: Level
    columns: tuple[tuple[str, Tag], ...]
    conditions: tuple[tuple[Tag, Predicate], ...]
    is_default: bool
    as_written: bool

    @property
    def levels(self) -> tuple[Level, ...]:
        """The levels that are asked, from above: studies hold their patient's tags, so patients are a level apart."""
        return ("patient",) if self.level == "patient" else LEVELS[1 : depth(self.level) + 1]

    def tags_at(self, level: Level) -> list[Tag]:
        """Return the tags that are asked for at a level: of conditions and columns, and what is needed besides.

        These are the tags that order rows and identify objects, and how many objects of the next level there are.
        """
        needed = [tag for tag, _ in self.conditions] + [tag for _, tag in self.columns]
        needed += [parse_tag(name) for name in (*_ORDER[level].split(), UNIQUE_KEYS[level])]
        if level != self.level:
            needed.append(parse_tag(NUMBER_OF_CHILDREN[level]))
        return [tag for tag in dict.fromkeys(needed) if self._asked_at(tag) == level]

    def conditions_at(self, level: Level) -> list[tuple[Tag, Predicate]]:
        """Return the conditions that are decided at a level."""
        return [(tag, predicate) for tag, predicate in self.conditions if self._asked_at(tag) == level]

    def keys_at(self, level: Level) -> dict[str, tuple[str, ...]]:
        """Return the alternative keys that are sent at a level, by the name of their tag; see `keys_for`."""
        return {
            tag.name: keys_for(tag, predicate, as_written=self.as_written)
            for tag, predicate in self.conditions_at(level)
        }

    def _asked_at(self, tag: Tag) -> Level:
        if self.level == "patient":
            return "patient"
        # What is unknown to DICOM's modules at this level is asked for there.
        at = min(depth(tag.level), depth(self.level))
        return LEVELS[max(1, at)]


def read_question(level: str, columns: Sequence[TagLike], tags: Mapping[str, Any], as_written: bool) -> Question:
    """Read the arguments of `Modality.find`; whatever is wrong with them raises before the first request.

    Raises
    ------
    UnknownTagError, SelectionError
        A tag, a value or the level is not possible.
    """
    checked = check_level(level)
    conditions = read_conditions(tags)
    for tag, _ in conditions:
        if depth(tag.level) > depth(checked):
            raise SelectionError(
                f"{tag} belongs to the {tag.level}, and objects of level {checked!r} are asked for: ask at level "
                f'{tag.level!r}, or select({tag}=...) on orthanc.modality("..."), which asks all levels.'
            )
    names = list(columns) or _COLUMNS[checked].split()
    parsed = [askable(name) for name in names]
    labels = [name if isinstance(name, str) else str(tag) for name, tag in zip(names, parsed, strict=True)]
    pairs = tuple(zip(labels, parsed, strict=True))
    return Question(checked, pairs, tuple(conditions), not columns, as_written)


def read_conditions(tags: Mapping[str, Any]) -> list[tuple[Tag, Predicate]]:
    """Read keyword arguments as conditions; whatever is wrong with them raises.

    Raises
    ------
    UnknownTagError, SelectionError
        A tag or a value is not possible.
    """
    conditions = []
    for name, value in tags.items():
        tag = askable(name)
        condition = condition_for(tag, value)
        assert isinstance(condition, Comparison)
        conditions.append((tag, condition.predicate))
    return conditions


def askable(name: TagLike) -> Tag:
    """Return the tag of a name, if a C-FIND can ask for it here.

    Raises
    ------
    UnknownTagError, SelectionError
        There is no such tag, or it is a sequence, private, binary or inside a sequence.
    """
    tag = parse_tag_column(name)
    if len(tag.steps) > 1 or tag.is_private or tag.is_sequence or (tag.vr in BINARY_VRS and tag.vr != "UN"):
        raise SelectionError(
            f"{tag} cannot be asked for by C-FIND here, which compares single standard elements that hold strings, "
            "dates and numbers: retrieve the objects, and select on this Orthanc."
        )
    return tag


def find_rows(ask: Ask, question: Question, label: str) -> list[Row]:
    """Ask a modality level by level, and return the rows that satisfy the conditions, each object once, in order.

    Parameters
    ----------
    ask : callable
        Sends one C-FIND.
    question : Question
        What is asked.
    label : str
        What is asked, for messages, such as ``"modality 'PACS'"``.

    Raises
    ------
    UnsupportedError
        The modality leaves out a tag that is needed to decide.
    ServerError
        It does not answer, or refuses.

    Warns
    -----
    UserWarning
        It lists less of an object than it says there is.
    """
    parents: list[Row] = [{}]
    for level in question.levels:
        rows: list[Row] = []
        is_list = not any(map(any, question.keys_at(level).values()))
        shown = told = 0
        with progress_bar(len(parents), f"{label}: {level}") as advance:
            for parent in parents:
                below = list(_below(ask, question, level, parent, label))
                number = _number_below(parent, level)
                if is_list and len(below) < number:
                    shown, told = shown + len(below), told + number
                rows += below
                advance(1)
        if told:
            warnings.warn(
                f"The {label} says that there are at least {told} objects of level {level} in some of its studies or "
                f"series, and lists {shown} of them: it may limit its answers, or not list all that it holds.",
                stacklevel=stacklevel(),
            )
        parents = satisfying(rows, question.conditions_at(level), label, f"at level {level}")
    tags = [parse_tag(name) for level in question.levels for name in _ORDER[level].split()]
    return sorted(parents, key=lambda row: [sort_key(row.get(tag.name), tag) for tag in tags])


def _number_below(parent: Row, level: Level) -> int:
    """Return how many objects of a level are below one of the level above: at least one, or what is said of it."""
    if not parent:
        return 0
    string = _first(parent.get(NUMBER_OF_CHILDREN[LEVELS[depth(level) - 1]]))
    return int(string) if string.isascii() and string.isdecimal() else 1


def _below(ask: Ask, question: Question, level: Level, parent: Row, label: str) -> Iterator[Row]:
    """Yield the answers at a level below one object, each object once, with the values of the levels above."""
    tags = {tag.name: tag for tag in question.tags_at(level)}
    conditions = question.conditions_at(level)
    above = {name: _first(parent.get(name)) for name in UNIQUE_KEYS.values() if parent.get(name)}
    sent = {name: value for name, value in above.items() if name != UNIQUE_KEYS["patient"]}
    seen: set[tuple[Any, ...]] = set()
    for keys in queries_for(question.keys_at(level)):
        answers = ask(level, {**dict.fromkeys(tags, ""), **keys, **sent})
        _warn_of_lost_characters(conditions, answers.character_sets - {_UTF8, ""}, label)
        for answer in answers.answers:
            texts = {name: answer.get(tag.number) for name, tag in tags.items()}
            row = {name: from_text(text, tags[name].vr) for name, text in texts.items() if text is not None}
            _check_identified(row, level, label)
            identity = _identity(row, level)
            if identity not in seen and _is_below(answer, above):
                seen.add(identity)
                yield {**parent, **row}


def _identity(row: Row, level: Level) -> tuple[Any, ...]:
    """Return what tells an object from others; patients without PatientID differ in whatever else is known of them."""
    patient = row.get(UNIQUE_KEYS["patient"])
    if level == "patient":
        return (patient,) if patient else tuple(sorted(row.items(), key=str))
    return patient, row.get(UNIQUE_KEYS[level])


def _first(value: Value) -> str:
    return str(value[0]) if value else ""


def _is_below(answer: Mapping[str, str | None], above: Mapping[str, str]) -> bool:
    """Check whether an answer is about the object that was asked for, as far as it says so."""
    for name, value in above.items():
        text = answer.get(parse_tag(name).number)
        if text and _first(from_text(text, parse_tag(name).vr)) != value:
            return False
    return True


def _check_identified(row: Row, level: Level, label: str) -> None:
    # A patient may have no PatientID.
    if level != "patient" and row.get(UNIQUE_KEYS[level]) is None:
        raise UnsupportedError(
            f"The {label} answered at level {level} without {UNIQUE_KEYS[level]}, so its objects cannot be "
            "told apart: ask at a higher level."
        )


def warn_of_limit(answers: Answers, level: Level, keys: Mapping[str, str], label: str) -> None:
    """Warn if a modality answered with as many patients or studies as a limit may allow, and not to a list of them."""
    if keys.get(UNIQUE_KEYS[level]):
        return
    number = parse_tag(UNIQUE_KEYS[level]).number
    count = len({answer.get(number) for answer in answers.answers})
    if level in ("patient", "study") and count >= USUAL_LIMIT and may_be_limit(count):
        warnings.warn(
            f"The {label} answered with exactly {count} objects of level {level}, which may be the most that it "
            "answers with. Narrow by a shorter range of StudyDate to be sure.",
            stacklevel=stacklevel(),
        )


def listed_uids(answers: Iterable[Mapping[str, str | None]], series: str) -> set[str]:
    """Return the SOPInstanceUIDs in the answers about the instances of a series.

    Parameters
    ----------
    answers : iterable of dict
        Number of a tag to its value; those about another series, which some machines add, are left out.
    series : str
        SeriesInstanceUID.
    """
    of_series, of_instance = (parse_tag(UNIQUE_KEYS[level]).number for level in ("series", "instance"))
    uids = {
        (answer.get(of_instance) or "").strip()
        for answer in answers
        if (answer.get(of_series) or series).strip() == series
    }
    return uids - {""}


def _warn_of_lost_characters(conditions: Sequence[tuple[Tag, Predicate]], sets: frozenset[str], label: str) -> None:
    asked = [f"{tag} {predicate}" for tag, predicate in conditions]
    lacking = {name: [text for text in asked if not _holds(name, text)] for name in sorted(sets)}
    for name, texts in lacking.items():
        if texts:
            warnings.warn(
                f"The {label} answers in {name}, which lacks characters of {' and '.join(texts)}: a match may be "
                "missing.",
                stacklevel=stacklevel(),
            )


def _holds(character_set: str, text: str) -> bool:
    """Check whether a character set of DICOM has all characters of a string; of several, one must have them."""
    for name in character_set.split("\\"):
        # pydicom reads more than ASCII in the default repertoire.
        encoding = "ascii" if name.strip() in _ASCII else python_encoding.get(name.strip(), "ascii")
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            continue
        return True
    return False


def satisfying(rows: Sequence[Row], conditions: Sequence[tuple[Tag, Predicate]], label: str, where: str) -> list[Row]:
    """Return the rows that satisfy all conditions.

    Raises
    ------
    UnsupportedError
        No row has a tag that decides.
    """
    kept = list(rows)
    for tag, predicate in conditions:
        if rows and not any(tag.name in row for row in rows):
            raise UnsupportedError(
                f"The {label} does not return {tag} {where}, so what satisfies {tag} {predicate} is "
                "not known. Leave it out and choose among the rows, or retrieve them and select on this Orthanc."
            )
        held = {part for row in rows for part in row.get(tag.name) or () if isinstance(part, str)}
        undecided = {part.string for part in undecided_strings(predicate)}
        decided = decide(predicate, undecided & held, ())
        kept = [row for row in kept if decided.holds(row.get(tag.name), tag.vr)]
    return kept


def sort_key(value: Value, tag: Tag) -> tuple[bool, float, str]:
    """Return what to sort a value by: numbers by size, strings as they are, what is missing last."""
    string = _first(value)
    number = comparable(string, tag.vr) if tag.vr == "IS" else None
    return (value is None, number, "") if isinstance(number, (int, float)) else (value is None, 0.0, string)


def to_frame(rows: Sequence[Row], question: Question, label: str) -> pd.DataFrame:
    """Return rows as the table that was asked for: see `as_frame`."""
    return as_frame(rows, question.columns, label, f"at level {question.level}", question.is_default)


def as_frame(
    rows: Sequence[Row], columns: Sequence[tuple[str, Tag]], label: str, where: str, is_default: bool
) -> pd.DataFrame:
    """Return rows as a table of typed columns; what the answers left out is NA, with a warning if it was asked for."""
    import pandas as pd

    left_out = [name for name, tag in columns if rows and not any(tag.name in row for row in rows)]
    if left_out and not is_default:
        warnings.warn(
            f"The {label} does not return {', '.join(left_out)} {where}: these columns are NA, which does not mean "
            "that the values are missing there.",
            stacklevel=stacklevel(),
        )
    typed = [typed_column([row.get(tag.name) for row in rows], tag) for _, tag in columns]
    if not typed:
        return pd.DataFrame(index=pd.RangeIndex(len(rows)))
    frame: pd.DataFrame = pd.concat(typed, axis=1)
    frame.columns = pd.Index([name for name, _ in columns])
    return frame
