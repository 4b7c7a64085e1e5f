"""Archives that a server makes: whole, readable, and with every instance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from simple_orthanc.errors import TransportError
from simple_orthanc.files.zips import member_problem, members_of, open_member, open_zip

_PIECE = 1 << 20
_DICOMDIR = "DICOMDIR"


def count_instances(path: Path, asked: str) -> int:
    """Count the instances in a zip, after reading all of it.

    Parameters
    ----------
    path : Path
        The zip.
    asked : str
        What was asked for, for the message.

    Raises
    ------
    TransportError
        It is not a zip, is cut off or damaged.
    """
    try:
        archive = open_zip(path)
        members = members_of(archive)
        for member in members:
            problem = member_problem(member)
            if problem is not None:
                raise ValueError(f"{member.filename} {problem}")
            with open_member(archive, member) as stream:
                while stream.read(_PIECE):
                    pass
    except Exception as error:  # a damaged zip can fail in as many ways as it has fields
        raise TransportError(
            f"{asked} was asked for, and what came is not a whole zip ({error}). Nothing of it was kept. Ask again; if "
            "that does not help, the server's log may say more.",
            is_about_object=True,
        ) from None
    return sum(member.filename.rpartition("/")[2] != _DICOMDIR for member in members)


def zip_check(asked: str, count_before: int, count_now: Callable[[], int]) -> Callable[[Path], None]:
    """Return a check whether a zip holds every instance: Orthanc silently leaves out those that it cannot read.

    Parameters
    ----------
    asked : str
        What was asked for, for the message.
    count_before : int
        How many instances there were when it was asked for.
    count_now : callable
        Returns how many there are; called if some are missing, since they may have been deleted meanwhile.
    """

    def check(path: Path) -> None:
        count = count_instances(path, asked)
        if count >= count_before:
            return
        expected = min(count_before, count_now())
        if count < expected:
            raise TransportError(
                f"{asked} was asked for, which has {expected} instances, and the zip holds {count}: the server leaves "
                "out what it cannot read. Nothing of it was kept. instance.attachments['dicom'].verify() of each "
                "instance tells which ones; restore them, or upload them again.",
                is_about_object=True,
            )

    return check
