"""Which file an Orthanc has of an instance, asked of its own API beside its DICOMweb.

DICOMweb itself tells nothing by which a file that was replaced could be noticed: neither identifiers nor metadata show
that pixels are others. So a file is read from a cache only where the DICOMweb is the plugin of an Orthanc, and the API
of Orthanc itself, in the folder above it, answers to the same user.
"""

from __future__ import annotations

import threading
from typing import Any, cast

from simple_orthanc.errors import NotFoundError, ServerError, TransportError
from simple_orthanc.sources.cache.kept_files import Stamp
from simple_orthanc.sources.identity import orthanc_id
from simple_orthanc.sources.keys import Key
from simple_orthanc.sources.orthanc.answers import ask, has, is_objects
from simple_orthanc.sources.orthanc.changes import read_last
from simple_orthanc.sources.orthanc.listed_files import ListedFile, ListedFiles
from simple_orthanc.sources.orthanc.replacements import Replacements
from simple_orthanc.transport import Transport


class ApiBeside:
    """Orthanc's own API through the connection to its DICOMweb, as far as listings need it.

    Parameters
    ----------
    transport : Transport
        The connection.
    root : str
        Path of the DICOMweb below the address of the connection; "": its own path is that of the DICOMweb.

    Attributes
    ----------
    url : str
        Its address.
    name : str
        The path of the DICOMweb below it.
    """

    def __init__(self, transport: Transport, root: str) -> None:
        self._transport = transport
        self.url, self.name = (transport.url, root) if root else transport.url.rsplit("/", 1)
        # Another path on the same server, which takes the same credentials.
        self._prefix = "" if root else self.url

    def json(self, method: str, path: str, **options: Any) -> Any:
        """Send a request, and parse the JSON that comes back; as `Transport.json`."""
        return self._transport.json(method, f"{self._prefix}{path}", **options)

    def repeat(self, read: Any) -> Any:
        """Call a function again where that may help; as `Transport.repeat`."""
        return self._transport.repeat(read)


class StoredVersions:
    """The files that an Orthanc has now, series by series as they are asked about.

    Parameters
    ----------
    transport : Transport
        The connection to its DICOMweb.
    root : str
        As for `ApiBeside`.
    """

    def __init__(self, transport: Transport, root: str) -> None:
        beside = ApiBeside(transport, root)
        self._name, self._api = beside.name, cast(Transport, beside)
        self._listed = ListedFiles()
        self._absent: set[str] = set()
        self._replacements = Replacements(self._api, self._listed)
        self._lock = threading.Lock()
        self._is_orthanc: bool | None = None

    def stamp(self, key: Key) -> Stamp | None:
        """Return what tells the file of an instance from others; None if nothing does."""
        own = orthanc_id(key)
        listed = self._listed.get(own)
        if listed is None and own not in self._absent:
            with self._lock:
                # Another thread may have listed the series meanwhile.
                if self._listed.get(own) is None and self._answers():
                    self._list(orthanc_id(key[:3]))
                listed = self._listed.get(own)
                if listed is None:
                    self._absent.add(own)
        stamp = None if listed is None else listed.stamp
        return None if stamp is None else Stamp(stamp.version)

    def is_current(self, key: str, stamp: Stamp) -> bool:
        """Check whether the server still has the file that a stamp is of."""
        return self._replacements.is_current(orthanc_id(Key.parse(key)), stamp)

    def forget(self) -> None:
        """Forget what was listed."""
        with self._lock:
            self._listed.forget(None)
            self._absent.clear()

    def _answers(self) -> bool:
        if self._is_orthanc is None:
            try:
                plugin = self._api.json("GET", "/plugins/dicom-web", patience=0)
                page, separator, _ = str(plugin.get("RootUri") or "").partition("app/")
                # The plugin's own page is below its root.
                root = page.removeprefix("../").strip("/") if separator else "dicom-web"
                self._is_orthanc = root == self._name.strip("/")
                self._replacements.catch_up(read_last(self._api))
            except (ServerError, TransportError, AttributeError):
                self._is_orthanc = False
        return self._is_orthanc

    def _list(self, series: str) -> None:
        asked = self._listed.ask()
        try:
            answers = ask(self._api, "GET", f"/series/{series}/instances", is_objects, params={"expand": ""})
        except NotFoundError:
            return
        is_file = has(ID=str, FileSize=(int, str))
        files = {answer["ID"]: ListedFile.of(answer) for answer in filter(is_file, answers)}
        asked.take({key: file for key, file in files.items() if file is not None})
