"""DICOM files and a server that stores them, for the tests of storing."""

from __future__ import annotations

import io
import json
from typing import Any

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from simple_orthanc.dicomweb import Transactions
from simple_orthanc.dicomweb.multipart import read_parts
from simple_orthanc.files.detection import dataset_bytes
from simple_orthanc.transport import Transport
from tests.http_stand_in import Asked, StandIn, reply

JSON = {"Content-Type": "application/dicom+json"}


def dataset(number: int, pixels: int = 0) -> Dataset:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    made.SOPInstanceUID = f"1.2.{number}"
    if pixels:
        made.add_new(0x7FE00010, "OW", bytes(pixels))
    return made


def file(number: int, pixels: int = 0) -> bytes:
    return dataset_bytes(dataset(number, pixels))


def entry(uid: str, **reasons: int) -> dict[str, Any]:
    tags = {"warning": "00081196", "failure": "00081197"}
    found: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [uid]}}
    return found | {tags[name]: {"vr": "US", "Value": [reason]} for name, reason in reasons.items()}


def answer(
    stored: list[Any] | None = None, failed: list[Any] | None = None, other: list[Any] | None = None, status: int = 200
) -> bytes:
    item = {
        tag: {"vr": "SQ", "Value": found}
        for tag, found in (("00081199", stored), ("00081198", failed), ("0008119A", other))
        if found is not None
    }
    return reply(json.dumps(item).encode(), status, JSON)


def files_in(asked: Asked) -> list[bytes]:
    return [part.content for part in read_parts([asked.body], asked.headers["content-type"], "a request")]


def accepting(asked: Asked, _: int) -> bytes:
    uids = [str(pydicom.dcmread(io.BytesIO(content)).SOPInstanceUID) for content in files_in(asked)]
    return answer([entry(uid) for uid in uids])


def transactions(server: StandIn, **prefixes: str) -> Transactions:
    return Transactions(Transport(server.url), **prefixes)
