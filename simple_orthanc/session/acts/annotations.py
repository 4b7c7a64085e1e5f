"""Labels and metadata of objects that a server stores anew, when it modifies in place.

Orthanc, up to 1.13.0, stores each image anew without what was noted with it; and a series, study or patient of one
image only is gone for a moment, so that what was noted with it is lost too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from simple_orthanc.dicom.levels import Level
from simple_orthanc.errors import AuthenticationError, NotFoundError, UnknownNameError
from simple_orthanc.rest import Rest
from simple_orthanc.rest.levels import ORTHANC_LEVEL
from simple_orthanc.rest.objects import Series
from simple_orthanc.rest.objects.address import Address
from simple_orthanc.rest.objects.labels import Labels
from simple_orthanc.rest.objects.metadata import Metadata
from simple_orthanc.session.acts.copy_groups import CopyGroup

_BATCH = 1000
_LEVELS: dict[object, Level] = {name: level for level, name in ORTHANC_LEVEL.items()}
# The first that lists the names of metadata that users may write.
_LISTS_NAMES = (1, 12, 0)


@dataclass
class _Noted:
    level: Level
    labels: set[str]
    names: set[str]
    values: dict[str, bytes] = field(default_factory=dict)


class Annotations:
    """What users have noted with the objects of a group, read before they are stored anew.

    Parameters
    ----------
    rest : Rest
        The server.
    group : CopyGroup
        The objects; those that they are in, and that are in them, count too.
    """

    def __init__(self, rest: Rest, group: CopyGroup) -> None:
        self._rest = rest
        studies = dict.fromkeys(Series(rest, key).study.id for key in group.series)
        self._keys = [group.patient, *studies, *group.series, *group.instances]
        self._before = {key: noted for key, noted in self._read() if noted.labels or noted.names}
        for key, noted in self._before.items():
            metadata = Metadata(Address(rest, noted.level, key))
            for name in noted.names:
                with suppress(UnknownNameError, NotFoundError):
                    noted.values[name] = metadata.read(name).value

    def restore(self) -> None:
        """Write what is missing now; objects that are gone are left out.

        Raises
        ------
        OrthancError
            The server refuses, or is gone.
        """
        if not self._before:
            return
        for key, now in self._read(list(self._before)):
            before, address = self._before[key], Address(self._rest, now.level, key)
            with suppress(NotFoundError):
                for label in sorted(before.labels - now.labels):
                    Labels(address).add(label)
                for name in sorted(before.values.keys() - now.names):
                    # Older servers do not tell which names are their own.
                    with suppress(AuthenticationError):
                        Metadata(address)[name] = before.values[name]

    def _read(self, keys: Sequence[str] | None = None) -> Iterator[tuple[str, _Noted]]:
        """Yield labels and the names of metadata of those objects that are there."""
        wanted = self._keys if keys is None else keys
        for start in range(0, len(wanted), _BATCH):
            body = {"Resources": list(wanted[start : start + _BATCH]), "Short": True, "Metadata": True}
            answer = self._rest.post("/tools/bulk-content", body, idempotent=True)
            for item in answer if isinstance(answer, list) else ():
                if isinstance(item, dict) and item.get("Type") in _LEVELS and "ID" in item:
                    names = {str(name) for name in item.get("Metadata") or () if self._is_of_users(str(name))}
                    labels = {str(label) for label in item.get("Labels") or ()}
                    yield str(item["ID"]), _Noted(_LEVELS[item["Type"]], labels, names)

    def _is_of_users(self, name: str) -> bool:
        capabilities = self._rest.capabilities
        return name.isdecimal() or name in capabilities.user_metadata or capabilities.version < _LISTS_NAMES
