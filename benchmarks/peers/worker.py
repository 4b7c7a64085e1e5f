"""Do jobs with the other clients, each with the shortest correct code that its documentation leads to.

Runs in an environment that has the other clients and not this library; questions and answers are lines of JSON. Each
job takes a fresh client. Only what the client does is timed: the digest of the result is made off the clock.
"""

from __future__ import annotations

import gc
import hashlib
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pyorthanc  # type: ignore[import-not-found]
import requests
from beren import Orthanc as Beren  # type: ignore[import-not-found]
from dicomweb_client.api import DICOMwebClient  # type: ignore[import-not-found]
from orthanc_api_client import OrthancApiClient  # type: ignore[import-not-found]

PACKAGES = ("pyorthanc", "orthanc-api-client", "dicomweb-client", "beren", "pydicom", "numpy", "requests", "httpx")
# The defaults of some clients are too short for a series.
_TIMEOUT = 600
PATIENT = "Bench^Volume"

PYORTHANC = "PyOrthanc"
API_CLIENT = "orthanc-api-client"
DICOMWEB = "dicomweb-client"
BEREN = "beren"
NUMPY_ROUTE = "simple-orthanc's way"


def stacked(datasets: Iterable[pydicom.Dataset]) -> np.ndarray:
    """Sort slices along z, rescale and stack them: what a user of these clients has to write.

    It trusts that slope and intercept are integers, which is quicker than what pydicom offers for any of them.
    """
    ordered = sorted(datasets, key=lambda dataset: float(dataset.ImagePositionPatient[2]))
    return np.stack(
        [each.pixel_array.astype("int16") * int(each.RescaleSlope) + int(each.RescaleIntercept) for each in ordered]
    )


def pyorthanc_series(url: str, description: str) -> pyorthanc.Series:
    """Find a series with PyOrthanc."""
    client = pyorthanc.Orthanc(url, timeout=_TIMEOUT)
    (series,) = pyorthanc.find_series(client, {"PatientName": PATIENT, "SeriesDescription": description})
    return series


def pyorthanc_volume(url: str, description: str, **_: Any) -> np.ndarray:
    """Read a volume with PyOrthanc."""
    return stacked(instance.get_pydicom() for instance in pyorthanc_series(url, description).instances)


def pyorthanc_headers(url: str, description: str, **_: Any) -> Sequence[Any]:
    """Read the headers of a series with PyOrthanc."""
    return [instance.get_pydicom() for instance in pyorthanc_series(url, description).instances]


def pyorthanc_column(url: str, **_: Any) -> Sequence[str]:
    """Read the descriptions of all series with PyOrthanc."""
    client = pyorthanc.Orthanc(url, timeout=_TIMEOUT)
    return [series.description for series in pyorthanc.find_series(client, {})]


def pyorthanc_upload(url: str, folder: str, **_: Any) -> None:
    """Upload the files of a folder with PyOrthanc."""
    pyorthanc.upload(pyorthanc.Orthanc(url, timeout=_TIMEOUT), folder)


def api_client_files(url: str, uid: str) -> list[pydicom.Dataset]:
    """Read the files of a series with orthanc-api-client."""
    client = OrthancApiClient(url)
    # It cannot find series by other tags.
    instances = client.series.get_instances_ids(client.series.lookup(uid))
    return [pydicom.dcmread(BytesIO(client.instances.get_file(each))) for each in instances]


def api_client_volume(url: str, uid: str, **_: Any) -> np.ndarray:
    """Read a volume with orthanc-api-client."""
    return stacked(api_client_files(url, uid))


def api_client_headers(url: str, uid: str, **_: Any) -> Sequence[Any]:
    """Read the headers of a series with orthanc-api-client."""
    return api_client_files(url, uid)


def api_client_column(url: str, **_: Any) -> Sequence[str]:
    """Read the descriptions of all series with orthanc-api-client."""
    client = OrthancApiClient(url)
    return [client.series.get(each).main_dicom_tags.get("SeriesDescription") for each in client.series.get_all_ids()]


def api_client_upload(url: str, folder: str, **_: Any) -> None:
    """Upload the files of a folder with orthanc-api-client."""
    OrthancApiClient(url).upload_folder(folder)


def dicomweb_series(client: DICOMwebClient, uid: str) -> tuple[str, str]:
    """Find a series with dicomweb-client."""
    # Older versions of Orthanc's plugin find nothing by the name of a patient with a ^ in it.
    (found,) = client.search_for_series(search_filters={"SeriesInstanceUID": uid})
    return found["0020000D"]["Value"][0], found["0020000E"]["Value"][0]


def dicomweb_volume(url: str, uid: str, **_: Any) -> np.ndarray:
    """Read a volume with dicomweb-client."""
    client = DICOMwebClient(f"{url}/dicom-web")
    # Without media types the server would be asked to decompress.
    return stacked(client.retrieve_series(*dicomweb_series(client, uid), (("application/dicom", "*"),)))


def dicomweb_headers(url: str, uid: str, **_: Any) -> Sequence[Any]:
    """Read the headers of a series with dicomweb-client."""
    client = DICOMwebClient(f"{url}/dicom-web")
    found = client.retrieve_series_metadata(*dicomweb_series(client, uid))
    return [pydicom.Dataset.from_json(each, lambda tag, vr, uri: None) for each in found]


def dicomweb_column(url: str, **_: Any) -> Sequence[str]:
    """Read the descriptions of all series with dicomweb-client."""
    client = DICOMwebClient(f"{url}/dicom-web")
    # A server may return fewer than all at a time.
    found: list[Any] = []
    while page := client.search_for_series(offset=len(found)):
        found += page
    return [each["0008103E"]["Value"][0] for each in found]


def dicomweb_upload(url: str, folder: str, **_: Any) -> None:
    """Upload the files of a folder with dicomweb-client."""
    client = DICOMwebClient(f"{url}/dicom-web")
    for path in sorted(Path(folder).iterdir()):
        client.store_instances(datasets=[pydicom.dcmread(path)])


def beren_files(url: str, description: str) -> list[pydicom.Dataset]:
    """Read the files of a series with beren."""
    client = Beren(url, warn_insecure=False)
    query = {"PatientName": PATIENT, "SeriesDescription": description}
    # Without a limit, Orthanc refuses the request.
    (series,) = client.find(query, "Series", expand=True, limit=1000)
    return [pydicom.dcmread(BytesIO(b"".join(client.get_instance_file(each)))) for each in series["Instances"]]


def beren_volume(url: str, description: str, **_: Any) -> np.ndarray:
    """Read a volume with beren."""
    return stacked(beren_files(url, description))


def beren_headers(url: str, description: str, **_: Any) -> Sequence[Any]:
    """Read the headers of a series with beren."""
    return beren_files(url, description)


def beren_column(url: str, **_: Any) -> Sequence[str]:
    """Read the descriptions of all series with beren."""
    client = Beren(url, warn_insecure=False)
    return [each["MainDicomTags"].get("SeriesDescription") for each in client.get_series(expand=True)]


def beren_upload(url: str, folder: str, **_: Any) -> None:
    """Upload the files of a folder with beren."""
    client = Beren(url, warn_insecure=False)
    for path in sorted(Path(folder).iterdir()):
        client.add_instance(path.read_bytes())


def numpy_route(url: str, series: str, **_: Any) -> np.ndarray:
    """Read an array by Orthanc's own route, as simple-orthanc 0.9 did."""
    answer = requests.get(f"{url}/series/{series}/numpy", timeout=_TIMEOUT)
    answer.raise_for_status()
    array: np.ndarray = np.load(BytesIO(answer.content))
    return array


JOBS: dict[str, dict[str, tuple[Callable[..., Any], str]]] = {
    "volume": {
        PYORTHANC: (pyorthanc_volume, "find_series, get_pydicom, sort, stack, rescale"),
        API_CLIENT: (api_client_volume, "series.lookup, instances.get_file, dcmread, sort, stack, rescale"),
        DICOMWEB: (dicomweb_volume, "search_for_series, retrieve_series, sort, stack, rescale"),
        BEREN: (beren_volume, "find, get_instance_file, dcmread, sort, stack, rescale"),
        NUMPY_ROUTE: (numpy_route, "GET /series/{id}/numpy with the headers that requests sends"),
    },
    "headers": {
        PYORTHANC: (pyorthanc_headers, "get_pydicom: whole files"),
        API_CLIENT: (api_client_headers, "instances.get_file, dcmread: whole files"),
        DICOMWEB: (dicomweb_headers, "retrieve_series_metadata"),
        BEREN: (beren_headers, "get_instance_file, dcmread: whole files"),
    },
    "upload": {
        PYORTHANC: (pyorthanc_upload, "upload"),
        API_CLIENT: (api_client_upload, "upload_folder"),
        DICOMWEB: (dicomweb_upload, "dcmread, store_instances"),
        BEREN: (beren_upload, "add_instance"),
    },
    "column": {
        PYORTHANC: (pyorthanc_column, "find_series, Series.description"),
        API_CLIENT: (api_client_column, "series.get_all_ids, series.get, main_dicom_tags"),
        DICOMWEB: (dicomweb_column, "search_for_series, page by page"),
        BEREN: (beren_column, "get_series(expand=True)"),
    },
}
for _compressed in ("JPEG 2000", "JPEG lossless"):
    JOBS[_compressed] = {name: JOBS["volume"][name] for name in (PYORTHANC, API_CLIENT, DICOMWEB, BEREN)}


def digest(job: str, result: Any) -> str:
    """Turn a result into what the caller compares with the right one."""
    if isinstance(result, np.ndarray):
        array = result[..., 0] if result.shape[-1] == 1 else result
        exact = np.ascontiguousarray(array, "<i2")
        if not np.array_equal(exact, array):
            return "not 16-bit integers"
        return f"{array.shape} {hashlib.sha256(exact.data).hexdigest()}"
    if job == "column":
        return " ".join(sorted(set(result)))
    return "" if result is None else str(len(result))


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Do a job and report how long it took; without a job, list the jobs."""
    if not question:
        jobs = {job: {peer: note for peer, (_, note) in peers.items()} for job, peers in JOBS.items()}
        return {"versions": {package: version(package) for package in PACKAGES}, "jobs": jobs}
    run, _ = JOBS[question["job"]][question["peer"]]
    gc.collect()
    began = time.perf_counter()
    try:
        result = run(**question["arguments"])
    except Exception as error:  # a client's failure is a result of the benchmark, whatever it is
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "digest": digest(question["job"], result)}


def main() -> None:
    """Answer requests until there are no more; whatever clients print goes to the standard error stream."""
    replies, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=replies, flush=True)


if __name__ == "__main__":
    main()
