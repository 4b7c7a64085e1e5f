"""What the parts of a session on an Orthanc server share: its source and its REST API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simple_orthanc.session.acting import ActingSession
from simple_orthanc.session.offline import check_online, is_offline

if TYPE_CHECKING:
    # Not at run time: with the class of an annotation, Tab looks at that class and finds none of the routes by name.
    from simple_orthanc.rest import Rest
    from simple_orthanc.sources.orthanc.source import OrthancSource


class OrthancState(ActingSession):
    """A session whose source is an Orthanc server; `Orthanc` adds the verbs that only such a server has."""

    @property
    def _orthanc(self) -> OrthancSource:
        from simple_orthanc.selection.source import archive_of
        from simple_orthanc.sources.orthanc.source import OrthancSource

        source = archive_of(self._source)
        if not isinstance(source, OrthancSource):
            check_online(source)
        assert isinstance(source, OrthancSource)
        return source

    def _server_versions(self) -> dict[str, str]:
        from simple_orthanc.selection.source import archive_of

        if is_offline(archive_of(self._source)):
            return {}
        return {"Orthanc": str(self.rest.get("/system")["Version"])}

    @property
    def rest(self) -> Rest:
        """The server's REST API: any route by its path.

        Examples
        --------
        >>> sorted(orthanc.rest.get("/statistics"))[:4]
        ['CountInstances', 'CountPatients', 'CountSeries', 'CountStudies']
        """
        return self._orthanc.rest
