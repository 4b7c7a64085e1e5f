"""Worklists that an Orthanc server offers to modalities, kept by its worklists plugin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from simple_orthanc.errors import NotFoundError
from simple_orthanc.rest.remote.modality_worklist import flattened
from simple_orthanc.rest.remote.plugin_routes import needing_plugin

if TYPE_CHECKING:
    import pandas as pd

    from simple_orthanc.rest import Rest

_PLUGIN = "the worklists plugin"
_WHERE = (
    "Its routes need the plugin OrthancWorklists (Orthanc 1.12.10), which the older sample plugin ModalityWorklists "
    "lacks."
)
_UTF8 = {"SpecificCharacterSet": "ISO_IR 192"}


class Worklists:
    """The worklist entries that an Orthanc server offers to modalities, by id.

    All of it raises `UnsupportedError` without the plugin. What other machines offer is asked by
    `Modality.find_worklist`.

    Examples
    --------
    >>> step = {"Modality": "CT", "ScheduledProcedureStepStartDate": "20260131"}
    >>> tags = {"PatientID": "P7", "PatientName": "Doe^Jane", "ScheduledProcedureStepSequence": [step]}
    >>> entry = orthanc.worklists.create(tags)
    >>> orthanc.worklists[entry]["PatientName"]
    'Doe^Jane'
    >>> del orthanc.worklists[entry]
    """

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    def __repr__(self) -> str:
        """Show the server, without a request."""
        return f"<Worklists of {self._rest.url}>"

    def _entries(self) -> dict[str, dict[str, Any]]:
        with needing_plugin(_PLUGIN, _WHERE):
            listed = self._rest.get("/worklists", {"format": "Simplify"})
        return {str(entry["ID"]): dict(entry.get("Tags") or {}) for entry in listed}

    def __len__(self) -> int:
        """Count the entries."""
        return len(self._entries())

    def __bool__(self) -> bool:
        """Return True, since the collection exists even if it is empty."""
        return True

    def __iter__(self) -> Iterator[str]:
        """Iterate over the ids of the entries."""
        return iter(self._entries())

    def __contains__(self, identifier: object) -> bool:
        """Check whether there is an entry with an id."""
        return identifier in self._entries()

    def __getitem__(self, identifier: str) -> dict[str, Any]:
        """Return the tags of an entry: keyword to string, and to a list of dicts for a sequence.

        Raises
        ------
        NotFoundError
            There is no such entry.
        """
        entries = self._entries()
        if identifier not in entries:
            raise self._unknown(identifier, entries)
        return entries[identifier]

    def __delitem__(self, identifier: str) -> None:
        """Remove an entry.

        Raises
        ------
        NotFoundError
            There is no such entry.
        """
        entries = self._entries()
        if identifier not in entries:
            raise self._unknown(identifier, entries)
        self._rest.delete(f"/worklists/{quote(identifier, safe='')}")

    def create(self, tags: Mapping[str, Any], *, force: bool = False) -> str:
        """Add an entry.

        Parameters
        ----------
        tags : dict
            Keyword to string, and to a list of dicts for a sequence. Strings are kept in UTF-8 unless
            ``SpecificCharacterSet`` is given. The plugin adds a StudyInstanceUID that is missing.
        force : bool, default False
            Whether an entry without modality and start date of its procedure step is allowed.

        Returns
        -------
        str
            The id of the entry.

        Raises
        ------
        ServerError
            The plugin refuses the entry; the message has its reason.

        Examples
        --------
        >>> step = {"Modality": "CT", "ScheduledProcedureStepStartDate": "20260131"}
        >>> tags = {"PatientID": "P7", "PatientName": "Doe^Jane", "ScheduledProcedureStepSequence": [step]}
        >>> entry = orthanc.worklists.create(tags)
        >>> entry in orthanc.worklists
        True
        >>> del orthanc.worklists[entry]
        """
        body: dict[str, Any] = {"Tags": {**_UTF8, **tags}}
        if force:
            body["Force"] = True
        with needing_plugin(_PLUGIN, _WHERE):
            answer = self._rest.post("/worklists/create", body)
        return str(answer["ID"])

    def table(self) -> pd.DataFrame:
        """Return the entries as a table.

        Returns
        -------
        pandas.DataFrame
            One row for each scheduled procedure step: ``id``, then the tags of the entry and of the step, as strings.

        Examples
        --------
        >>> step = {"Modality": "CT", "ScheduledProcedureStepStartDate": "20260131"}
        >>> tags = {"PatientID": "P7", "PatientName": "Doe^Jane", "ScheduledProcedureStepSequence": [step]}
        >>> entry = orthanc.worklists.create(tags)
        >>> orthanc.worklists.table()[["PatientID", "PatientName"]]
          PatientID PatientName
        0        P7    Doe^Jane
        >>> del orthanc.worklists[entry]
        """
        import pandas as pd

        rows = [{"id": identifier, **row} for identifier, tags in self._entries().items() for row in flattened(tags)]
        return pd.DataFrame(rows, columns=None if rows else ["id"], dtype="string")

    def _unknown(self, identifier: object, known: Mapping[str, Any]) -> NotFoundError:
        return NotFoundError(
            f"{self._rest.url} has no worklist entry {identifier!r}; it has {', '.join(known) or 'none'}. Entries are "
            "removed when a study with their StudyInstanceUID is stable.",
            status=404,
            method="GET",
            path=f"/worklists/{identifier}",
        )
