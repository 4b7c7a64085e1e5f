"""Files sent to an Orthanc server, and compared with what it then holds.

The response to an upload may be another request's, or a proxy's page; and a bit may have changed on the way. So the
response must name the instance that was sent, whose id follows from its identifiers, and the MD5 of what is stored is
compared with that of what was sent.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from simple_orthanc.concurrency.threads import WORKERS, map_ordered
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.errors import NotFoundError, OrthancError, TransportError
from simple_orthanc.files.streaming import LongFile
from simple_orthanc.rest import Rest
from simple_orthanc.selection.source import batches
from simple_orthanc.selection.store import Comparison, StoreOutcome, StoreStatus
from simple_orthanc.sources.identity import Identity, identity_in, identity_of, orthanc_id
from simple_orthanc.sources.orthanc.answers import ask, has, is_matches
from simple_orthanc.sources.orthanc.files import FileReader
from simple_orthanc.sources.orthanc.find import Finder
from simple_orthanc.sources.orthanc.find_limit import MAX_UIDS
from simple_orthanc.sources.orthanc.listed_files import ListedFile
from simple_orthanc.transport import Transport

_STATUSES: Mapping[str, StoreStatus] = {
    "Success": "stored",
    "AlreadyStored": "already stored",
    "FilteredOut": "filtered",
}
_UID = parse_tag("SOPInstanceUID")
# Bytes of an answer with an MD5.
_MD5_BYTES = 1 << 8


class OrthancStore:
    """Stores single files on an Orthanc server; see `simple_orthanc.selection.store.Store` for the members.

    Parameters
    ----------
    transport : Transport
        The connection.
    rest : Rest
        The REST API over it, for what the server can do.
    finder : Finder
        Finds instances.
    reader : FileReader
        Reads their files.
    """

    def __init__(self, transport: Transport, rest: Rest, finder: Finder, reader: FileReader) -> None:
        self._transport, self._rest, self._finder, self._reader = transport, rest, finder, reader
        # SOPInstanceUIDs of the instances that were stored or found, by Orthanc's id.
        self._uids: dict[str, str] = {}

    def pauses(self) -> Iterator[float]:
        """Return the pauses before a file is sent again."""
        return self._transport.patience.pauses()

    @property
    def transcodes(self) -> bool:
        """Whether the server may change the transfer syntax of what it stores."""
        return self._rest.capabilities.transcodes

    def store(self, content: bytes | LongFile) -> StoreOutcome:
        """Send a file, and return what became of it and Orthanc's id of the instance."""
        answer = self._transport.json("POST", "/instances", data=content)
        if isinstance(answer, list) and len(answer) == 1:
            (answer,) = answer
        status = _STATUSES.get(str(answer.get("Status"))) if isinstance(answer, dict) else None
        if status is None:
            raise self._not_understood("does not say what became of it")
        key, identity = str(answer.get("ID") or ""), _identity(content)
        if (key or status != "filtered") and not self._is_of(key, identity):
            raise self._not_understood("is about another instance")
        self._uids[key] = identity.instance
        return StoreOutcome(status, key)

    def _not_understood(self, why: str) -> TransportError:
        return TransportError(
            f"{self._transport.url} answered POST /instances with something that {why}. A proxy on the way may have "
            "mixed up responses: reach the server without it."
        )

    def _is_of(self, key: str, identity: Identity) -> bool:
        """Check whether Orthanc's id is that of a file with these identifiers."""
        if not identity.instance or key == orthanc_id(identity):
            return True
        # Orthanc may have decoded a PatientID otherwise, so its database decides.
        try:
            path, is_right = f"/instances/{key}", has(MainDicomTags=dict)
            answer = ask(self._transport, "GET", path, is_right, params={"short": ""}) if key else {"MainDicomTags": {}}
        except NotFoundError:
            return False
        return str(answer["MainDicomTags"].get(_UID.number, "")).strip() == identity.instance

    def find(self, content: bytes | LongFile) -> str | None:
        """Return Orthanc's id of the instance that the server holds under the identifiers of a file, if it does."""
        identity = _identity(content)
        if not identity.instance:
            return None
        uid = identity.instance.encode("utf-8", "replace")
        answers = ask(self._transport, "POST", "/tools/lookup", is_matches, data=uid, idempotent=True)
        held = [str(answer["ID"]) for answer in answers if answer["Type"] == "Instance"]
        key = orthanc_id(identity)
        if key not in held:
            # The id is not known if Orthanc decodes the PatientID otherwise, or if this begins with spaces, of which it
            # removes only those at the end.
            if identity.patient.isascii():
                held = [other for other in held if self._is_held_as(other, identity)]
            if len(held) != 1:
                return None
            (key,) = held
        self._uids[key] = identity.instance
        return key

    def _is_held_as(self, key: str, identity: Identity) -> bool:
        try:
            return not identity.differences(identity_of(self._reader.header(key)))
        except NotFoundError:
            return False

    def md5_of(self, identifiers: Sequence[str]) -> str | None:
        """Return the MD5 of the file that the server holds under the identifiers of an instance, if it tells."""
        try:
            md5 = self._transport.content("GET", f"/instances/{orthanc_id(identifiers)}/attachments/dicom/md5")
        except NotFoundError:
            return None
        return md5.decode("ascii", "replace").strip() or None

    def patients(self, level: Literal["study", "series"], identifiers: Sequence[str]) -> set[str]:
        """Return the PatientIDs under which the server holds the UID of a study or series.

        Orthanc's id of an object follows from its identifiers, so one request tells whether the file's patient is the
        only one.
        """
        own = identifiers[: 2 if level == "study" else 3]
        uid = own[-1].encode("utf-8", "replace")
        answers = ask(self._transport, "POST", "/tools/lookup", is_matches, data=uid, idempotent=True)
        keys = [str(answer["ID"]) for answer in answers if answer["Type"] == level.capitalize()]
        if keys == [orthanc_id(own)]:
            return {own[0]}
        found = set()
        for key in keys:
            path, is_patient = f"/{'studies' if level == 'study' else 'series'}/{key}/patient", has(MainDicomTags=dict)
            try:
                answer = ask(self._transport, "GET", path, is_patient)
            except NotFoundError:
                continue
            found.add(str(answer["MainDicomTags"].get("PatientID") or ""))
        return found

    def compare(self, files: Sequence[tuple[str, str]]) -> list[Comparison]:
        """Compare files with what the server holds: each by Orthanc's id of its instance, and its MD5."""
        keys = list(dict.fromkeys(key for key, _ in files))
        held: dict[str, str | None] = {}
        if self._rest.capabilities.extended_find:
            for batch in batches([key for key in keys if self._uids.get(key)], MAX_UIDS):
                held |= self._find_md5s(batch)
        unknown = [key for key in keys if key not in held]
        workers = self._transport.at_once(_MD5_BYTES, WORKERS)
        read = map_ordered(self._md5, unknown, workers=workers, total=len(unknown), label="comparing")
        held |= {key: md5 for key, md5 in zip(unknown, read, strict=True) if md5 is not _GONE}
        return [self._compared(held, key, md5) for key, md5 in files]

    def _compared(self, held: Mapping[str, str | None], key: str, md5: str) -> Comparison:
        if key not in held:
            return "gone"
        if held[key] is None:
            return "unknown"
        return "same" if held[key] == md5 else "another"

    def _find_md5s(self, keys: Sequence[str]) -> dict[str, str | None]:
        query = {"SOPInstanceUID": "\\".join(dict.fromkeys(self._uids[key] for key in keys))}
        answers = self._finder.find_expected("instance", query, keys, ResponseContent=["Attachments"])
        files = {str(answer["ID"]): ListedFile.of(answer) for answer in answers}
        return {key: file.md5 for key in keys if (file := files.get(key)) is not None and file.md5 is not None}

    def _md5(self, key: str) -> str | None:
        try:
            return self._reader.stored_md5(key)
        except NotFoundError:
            return _GONE

    def content(self, key: str) -> bytes:
        """Read the file that the server holds."""
        return self._reader.content(key)

    def is_alive(self) -> bool:
        """Wait for the server to answer, as long as patience lasts, and return whether it does."""
        try:
            self._rest.get("/system")
        except OrthancError:
            return False
        return True


# The MD5 of no file.
_GONE = ""


def _identity(content: bytes | LongFile) -> Identity:
    # The whole of it, where it is in memory: a file that is cut off is left to pydicom.
    known = content.beginning() if isinstance(content, LongFile) else content
    return identity_in(io.BytesIO(known), len(known))
