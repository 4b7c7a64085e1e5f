"""What the calls of docs/coming-from.md must return, by the number of the row."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from datetime import date, datetime, time, timezone
from typing import Any

import numpy as np

from simple_orthanc import NotFoundError, UnsupportedError
from simple_orthanc.testing import as_bytes, orthanc_id_of, wait_until
from tests.live.two_orthancs import CT, MR, PDF, PT, STUDIES

# Values of the calls in their order, and the names that they used.
Check = Callable[[list[Any], dict[str, Any]], bool]
STUDY_IDS = {orthanc_id_of(CT[0], "study"), orthanc_id_of(MR[0], "study")}
STORED = np.stack([image.pixel_array for image in CT])
HOUNSFIELD = STORED - 1024


def _pdf_of(table: Any, names: dict[str, Any]) -> bytes:
    """Return the PDF file in the one object that an upload reports."""
    (held,) = names["orthanc"].rest.post("/tools/lookup", str(table["SOPInstanceUID"][0]))
    content: bytes = names["orthanc"].rest.get(f"/instances/{held['ID']}/pdf")
    return content


def statuses(*wanted: str) -> Check:
    return lambda results, names: results[0]["status"].tolist() == list(wanted)


CONNECTING: dict[int, Check] = {
    1: lambda r, n: [session.study_count for session in r] == [2, 2],
    2: lambda r, n: [session.study_count for session in r] == [2, 2],
    3: lambda r, n: [session.study_count for session in r] == [1, 1],
    4: lambda r, n: (r[0].study_count, bool(n["fresh_tokens"])) == (1, True),
    5: lambda r, n: r[0].rest.get("/system")["Name"] == "stand-in",
    6: lambda r, n: [session.rest.get("/system")["Name"] for session in r] == ["stand-in"] * 2,
    7: lambda r, n: r[0].rest.get("/system")["Name"] == "stand-in",
    8: lambda r, n: (r[0].study_count, r[1]["ApiVersion"] > 1) == (1, True),
    9: lambda r, n: r[0].study_count == 1,
    10: lambda r, n: r == [[2, 2, 2]],
    11: lambda r, n: n["count"] == 1,
    12: lambda r, n: (
        r[0]["Version"] == r[5]["Version"]
        and [found["ID"] for found in r[1]] == [n["study_id"]]
        and r[4] == 200
        and not any(isinstance(result, Exception) for result in r)
    ),
    13: lambda r, n: (r[0].study_count, bool(n["responses"])) == (1, True),
    14: lambda r, n: isinstance(r[0], NotFoundError) and (r[0].status, r[0].path) == (404, "/studies/unknown"),
    16: lambda r, n: r == [True, n["orthanc"]],
    17: lambda r, n: r[0] == ".".join(map(str, r[2])) and "dicom-web" in r[1],
    18: lambda r, n: set(r[0]) == set(r[1]) == STUDY_IDS,
    19: lambda r, n: ([len(r[0]), r[0][0]["Type"]], len(r[1])) == ([2, "Series"], 3),
    20: lambda r, n: r == [(2, 2, 3, 8, 3)],
    21: lambda r, n: r == [3, {"Count": 1}],
    22: lambda r, n: r == [True],
    23: lambda r, n: (r[0].id, r[1]) == (n["study_id"], 1),
    24: lambda r, n: (
        [study.id for study in r[0]] == [n["study_id"]]
        and {image.id for image in r[1]} == {orthanc_id_of(image) for image in CT}
        and sorted(child.Modality[0] for child in r[2]) == ["CT", "PT"]
    ),
    25: lambda r, n: (r[0].id, r[1]) == (n["series_id"], n["patient_id"]),
    26: lambda r, n: r[0].id in {orthanc_id_of(image) for image in CT} and r[1] == 2,
    27: lambda r, n: r[0] == ["CT", "PT"] and set(map(str, r[1]["ModalitiesInStudy"])) >= {"('CT', 'PT')"},
    28: lambda r, n: r == [[3, 3]],
    29: lambda r, n: r[0] is n["orthanc"],
    30: lambda r, n: n["study_id"] in r[0].to_string() and r[1].endswith(f"#study?uuid={n['study_id']}"),
}
FINDING: dict[int, Check] = {
    31: lambda r, n: (r[0], r[1], dict(r[2]), r[3]) == (1, 2, {"PatientName": "JaneDoe"}, 3),
    32: lambda r, n: [len(table) for table in r] == [1, 1] and r[1]["Modality"].tolist() == ["CT"],
    33: lambda r, n: r == [1],
    34: lambda r, n: r == [1, 2, 1],
    35: lambda r, n: r == [1, 1],
    36: lambda r, n: (len(r[0]), len(r[1])) == (3, 1),
    37: lambda r, n: r[0]["StudyDate"].dt.year.tolist() == [2021, 2020],
    38: lambda r, n: r[0]["EchoTime"].notna().sum() == r[0]["KVP"].notna().sum() == 1,
    39: lambda r, n: r[1:] == [1, 1],
    40: lambda r, n: sorted(r[0]) == [["CT"], ["PT"]],
    41: lambda r, n: r == [n["study_id"], [n["study_id"]]],
    42: lambda r, n: r[0] == orthanc_id_of(n["dataset"], "series") and r[1] == n["patient_id"],
    43: lambda r, n: r == ["0018,0050", "SliceThickness"],
    44: lambda r, n: (set(r[0]), r[1]) == ({"ct_scan", "mr_scan", "pet"}, ["JaneDoe", "JohnDoe"]),
    45: lambda r, n: {"KVP", "RescaleSlope"} <= set(r[0]),
    46: lambda r, n: r == [True],
    47: lambda r, n: (r[0], r[1].PatientName) == ("JaneDoe", "JaneDoe"),
    48: lambda r, n: r == [[350e6]],
    49: lambda r, n: len(r[0]) == len(r[1]) == 3 and {tags["Modality"] for tags in r[0].values()} == {"CT"},
    50: lambda r, n: r == ["CT"],
    51: lambda r, n: r == ["20210101", "P1"],
    52: lambda r, n: next(map(str, r[0])).startswith("datetime64") and r[1] == time(9, 30, 15, 250000),
    53: lambda r, n: r == [True],
    54: lambda r, n: "StudyDescription" in r[0],
    55: lambda r, n: r[0] == "chest" and r[1]["PatientID"].tolist() == ["P1", "P2"],
    56: lambda r, n: (
        isinstance(r[0], bool)
        and abs(datetime.now(timezone.utc) - r[1]).total_seconds() < 3600
        and r[2] is False
        and r[3] == len(as_bytes(CT[0]))
    ),
    57: lambda r, n: not any(isinstance(result, Exception) for result in r),
    58: lambda r, n: [header.InstanceNumber for header in r[0]] == [1, 2, 3] and "PixelData" not in r[0][0],
    59: lambda r, n: [image.PixelData for image in r[0]] == [image.PixelData for image in CT] and r[1] == CT[0],
    60: lambda r, n: np.array_equal(r[0], HOUNSFIELD),
    61: lambda r, n: np.array_equal(r[0][0], HOUNSFIELD[0]) and np.array_equal(r[1][0], STORED[0]),
    62: lambda r, n: (r[0].GetSize(), r[0].GetSpacing()) == ((8, 8, 3), (1.0, 1.0, 2.0)),
    63: lambda r, n: r[0].shape == (3, 8, 8) and 0 < r[0].max() < 1,
    64: lambda r, n: hasattr(r[0], "savefig"),
    65: lambda r, n: r[0].shape[:2] == (8, 8) and r[1].startswith(b"\x89PNG"),
    66: lambda r, n: r[0] == CT[0].PixelData and "[ 0 0 0 0" in str(r[1]),
    67: lambda r, n: r[0].rstrip(b"\0") == PDF,
    68: lambda r, n: r == [3],
    69: lambda r, n: r[0].spacing == (1.0, 1.0, 2.0) and len(r[1]) == 3,
}
FILES: dict[int, Check] = {
    70: lambda r, n: r[0] == r[1].read_bytes() == as_bytes(CT[0]),
    71: lambda r, n: sorted(path.read_bytes() for path in r[0]) == sorted(map(as_bytes, CT)),
    72: lambda r, n: r[0].read_bytes()[:2] == b"PK",
    73: lambda r, n: b"DICOMDIR" in r[0].read_bytes(),
    74: lambda r, n: r[0].read_bytes()[:2] == b"PK" and int(r[1]) == 3,
    75: lambda r, n: n["size"] == len(as_bytes(CT[0])),
    76: lambda r, n: n["image"].file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.5",
    77: lambda r, n: (n["path"] / "exported.dcm").read_bytes() == as_bytes(CT[0]),
    78: lambda r, n: r == [None],
    79: statuses("already stored"),
    80: statuses(*["already stored"] * 3),
    81: statuses(*["already stored"] * 3),
    82: statuses("already stored"),
    83: statuses("stored"),
    84: statuses("already stored"),
    85: lambda r, n: r == [["already stored"]],
    86: lambda r, n: r[0].shape == (3, 3),
    87: lambda r, n: n["orthanc"].reset().refresh().PatientID == ["P2"],
    88: lambda r, n: n["orthanc"].reset().Modality == ["MR"],
    89: lambda r, n: n["orthanc"].reset().instance_count == 0,
    90: lambda r, n: (
        n["orthanc"].rest.get(f"/studies/{r[0]}")["MainDicomTags"]["StudyDescription"] == "chest"
        and n["orthanc"].rest.get(f"/studies/{r[0]}")["PatientMainDicomTags"]["PatientName"] != "JaneDoe"
        and n["study_id"] in n["orthanc"].rest.get("/studies")
    ),
    91: lambda r, n: r[0] != n["study_id"] and r[0] in n["orthanc"].rest.get("/studies"),
    92: lambda r, n: (
        n["orthanc"].rest.get(f"/studies/{r[0]}")["MainDicomTags"]["StudyDescription"] == "New" and b"New" in r[1]
    ),
    93: lambda r, n: r == [6],
    94: lambda r, n: (
        r[0] == n["study_id"]
        and r[1] in n["orthanc"].rest.get("/studies")
        and n["orthanc"].refresh().instance_count == len(STUDIES) + len(MR) + len(PT)
    ),
    95: lambda r, n: _pdf_of(r[0], n) == PDF and list(r[0]["StudyInstanceUID"]) == [n["study_uid"]],
    96: lambda r, n: r[0].startswith(b"1.2.") if isinstance(r[0], bytes) else r[0].startswith("1.2."),
    97: lambda r, n: r[0] == "Success" and r[1]["InstancesCount"] == 3 and r[2].year >= 2024,
    98: lambda r, n: r == ["Success"],
    99: lambda r, n: n["job_id"] in r[0].to_string() and r[1].state == "Success",
}
MACHINES: dict[int, Check] = {
    100: lambda r, n: (
        "PACS" in r[1].to_string() and r[2]["AET"] == "OTHER" and "PACS" not in n["orthanc"].rest.get("/modalities")
    ),
    101: lambda r, n: r == [None],
    102: lambda r, n: r[0]["PatientID"].tolist() == ["P9"],
    103: lambda r, n: r == [[]],
    104: lambda r, n: n["orthanc"].refresh().select(PatientID="P9").instance_count == 2,
    105: lambda r, n: n["orthanc"].refresh().select(PatientID="P9").instance_count == 2,
    106: lambda r, n: (
        statuses("sent")(r[:1], n) and n["other"].refresh().select(Modality="CT", PatientID="P1").instance_count == 3
    ),
    107: lambda r, n: r[1].wait(timeout=20).status == "Success",
    108: lambda r, n: r[0]["PatientID"].tolist() == ["P7"],
    109: lambda r, n: len(r[1]) == 1 and r[2] == "P7" and len(n["orthanc"].worklists) == 0,
    110: lambda r, n: r[1].startswith("1.1") and "research" not in n["orthanc"].rest.get("/peers"),
    111: lambda r, n: (
        r[0]["status"].tolist() == ["sent"]
        and r[2]["status"].tolist() == ["already there"]
        and n["other"].refresh().select(PatientID="P1").instance_count == 3
    ),
    112: lambda r, n: r[0] == {"far": "installed"} and [job.state for job in r[1:]] == ["Success"] * 2,
    113: lambda r, n: statuses("sent")(r[:1], n) and n["other"].refresh().select(PatientID="P1").instance_count == 3,
    114: lambda r, n: n["orthanc"].refresh().select(PatientID="P9").instance_count == 2,
    115: lambda r, n: r[0]["PatientID"].tolist() == ["P1"] and len(list(r[1])) == 2,
    116: lambda r, n: (
        [image.PixelData for image in r[0]] == [image.PixelData for image in CT]
        and sorted(r[1]) == sorted(map(as_bytes, CT))
    ),
    117: lambda r, n: len(r[0]) == len(r[1]) == 3,
    118: lambda r, n: [frame.content for frame in r[0]] == [CT[0].PixelData],
    119: lambda r, n: r[0][0].content.startswith(b"\x89PNG"),
    120: lambda r, n: r == [CT[0].PixelData, CT[0].PixelData[:10]],
    121: lambda r, n: r[0] in (None, "1.2.840.10008.1.2.1"),
    122: statuses("stored"),
    123: lambda r, n: isinstance(r[0], UnsupportedError),
    125: lambda r, n: r == [True],
    126: lambda r, n: np.array_equal(r[0], HOUNSFIELD),
    127: lambda r, n: r[0].stat().st_size > 1000 and r[1] == 6,
    128: lambda r, n: r[0] == 1,
}
SERVER: dict[int, Check] = {
    129: lambda r, n: r[0].count("NewSeries") >= 3 and n["seen"][0].series_count == 1,
    130: lambda r, n: r[0] == [],
    131: lambda r, n: r[1] == b"notes" and "dicom" in r[2],
    132: lambda r, n: r[0] == len(as_bytes(CT[0])) and len(r[1]) == 32 and r[2:] == [None, None],
    133: lambda r, n: r[1].string == "mine" and r[2].startswith("20"),
    134: lambda r, n: r[1] == {"seen"} and set(n["orthanc"].rest.studies[n["study_id"]].labels) == set(),
    135: lambda r, n: list(r[0]) == r[1] == ["listed"],
    136: lambda r, n: "8" in r[0].to_string(),
    137: lambda r, n: r == [6],
    138: lambda r, n: len(r[0]) == 2,
    139: lambda r, n: "orthanc_count_instances" in r[0]["name"].tolist(),
    140: lambda r, n: (
        r[0] == "MINE" and "T" in str(r[1]) and "DICOM" in str(r[2]) and r[3] == "Latin1" and len(r[4]) > 5
    ),
    141: lambda r, n: r == ["default", "default"],
    142: lambda r, n: str(r[0]).strip().startswith("42") or b"42" in r[0],
    143: lambda r, n: bool(wait_until(lambda: not n["third"].is_running, timeout=20)),
    144: lambda r, n: r == [[{"id": "p1"}]],
    145: lambda r, n: r == [1],
    146: lambda r, n: (r[0], "RestApiGet" in r[1]) == (8, True),
    147: lambda r, n: r[0][128:132] == b"DICM",
    148: lambda r, n: r == [2],
    149: lambda r, n: r == ["20220204", date(2022, 2, 4), datetime(2022, 2, 4, 9, 30, 15, tzinfo=timezone.utc)],
    150: lambda r, n: r == [True],
    151: lambda r, n: r == [None],
    152: lambda r, n: "P9" in r[0],
    153: lambda r, n: r == [True],
    154: lambda r, n: r == [True],
}
CHECKS: dict[int, Check] = {**CONNECTING, **FINDING, **FILES, **MACHINES, **SERVER}

# What calls of the sections that go line by line return; all others must not fail.
LINES: dict[str, dict[str, Callable[[Any, dict[str, Any]], bool]]] = {
    "PyOrthanc, line by line": {
        "orthanc.rest.routes.get_patients()": lambda r, n: len(r) == 2,
        "orthanc.rest.routes.get_patients_id(patient_id)": lambda r, n: r["MainDicomTags"]["PatientID"] == "P1",
        "list(orthanc.modalities)": lambda r, n: r == ["OTHER"],
        'rows = modality.find("study", PatientID="P9")': lambda r, n: n["rows"]["PatientID"].tolist() == ["P9"],
        'modality.retrieve(rows, how="move")': lambda r, n: (
            n["orthanc"].copy().refresh().select(PatientID="P9").series_count == 1
        ),
        'orthanc.select(label("MY_LABEL"), PatientID="*").table(level="patient")': lambda r, n: len(r) == 1,
        'patient.main_dicom_tags["PatientName"]': lambda r, n: r == "JaneDoe",
        "patient.dicom_id": lambda r, n: r == "P1",
        "patient.last_update": lambda r, n: isinstance(r, datetime),
        "set(patient.labels)": lambda r, n: r == {"MY_LABEL"},
        "patient.is_protected": lambda r, n: r is False,
        "[study.dicom_id for study in patient.studies]": lambda r, n: r == ["1.2.1"],
        'patient.archive(path / "patient.zip")': lambda r, n: r.read_bytes()[:2] == b"PK",
        "dataset.PixelData": lambda r, n: r == CT[0].PixelData,
        'orthanc.anonymize(keep=["PatientName"], replace={"PatientID": "TheNewPatientID"})': lambda r, n: (
            set(zip(r.status, r.new_PatientID, strict=True)) == {("anonymized", "TheNewPatientID")}
        ),
        'orthanc.modify({"PatientID": "Another"})': lambda r, n: (
            set(zip(r.status, r.new_PatientID, strict=True)) == {("modified", "Another")}
        ),
        'orthanc.select(series_uid).modify({"SeriesDescription": "New"})': lambda r, n: (
            r.status.tolist() == ["modified"]
        ),
        "orthanc.rest.instances[instance_id].anonymize()": lambda r, n: b"JaneDoe" not in r,
        'orthanc.rest.patients[job.wait(timeout=60).content["ID"]]': lambda r, n: (
            r.main_dicom_tags["PatientID"] != "P1"
        ),
        "(job.creation_time, job.progress, job.completion_time, job.runtime)": lambda r, n: r[1] == 100,
    },
    "orthanc-api-client, line by line": {
        "orthanc_a.is_alive()": lambda r, n: r is True,
        "orthanc_a.upload_file(file.read_bytes())": lambda r, n: r["status"].tolist() == ["already stored"],
        "orthanc_a.rest.studies.ids()": lambda r, n: set(r) == STUDY_IDS,
        "orthanc_a.select(StudyDate=(date(2021, 1, 1), date(2021, 1, 8))).daily_counts()": lambda r, n: len(r) >= 1,
        "dicom_file = orthanc_a.rest.instances[instance_id].content": lambda r, n: n["dicom_file"] == as_bytes(CT[0]),
        "orthanc_b.rest.instances[instance_id].study.id": lambda r, n: r == n["study_id"],
        'study.patient_main_dicom_tags.get("PatientID")': lambda r, n: r == "P1",
        'study.main_dicom_tags.get("StudyDescription")': lambda r, n: r == "chest",
        "study.dicom_id": lambda r, n: r == "1.2.1",
        "[study.id for study in orthanc_a.rest.patients[patient_id].studies]": lambda r, n: r == [n["study_id"]],
        'tags["PatientName"]': lambda r, n: r == "JaneDoe",
        'tags["0010,0020"]': lambda r, n: r == "P1",
        'tags["0010,0040"]': lambda r, n: r == "O",
        "orthanc_a.rest.studies.lookup(study_uid).id": lambda r, n: r == n["study_id"],
        'orthanc_a.select(study_uid).get_orthanc_ids("study")': lambda r, n: r == [n["study_id"]],
        'orthanc_a.peers["OTHER"].store([study_id])': lambda r, n: n["study_id"] in n["orthanc_b"].rest.get("/studies"),
        "from_dicom_date(dicom_date)": lambda r, n: r == date.today(),
    },
    "beren, line by line": {
        "orthanc.rest.routes.get_studies_id(study_id)": lambda r, n: r["ID"] == n["study_id"],
        "orthanc.rest.routes.get_series_id(series_id)": lambda r, n: r["ID"] == n["series_id"],
        "orthanc.rest.routes.get_instances_id(instance_id)": lambda r, n: r["ID"] == n["instance_id"],
        "list(orthanc.changes())": lambda r, n: len(r) > 8,
        'orthanc.select(PatientName="Jan*").get_orthanc_ids("patient")[:2]': lambda r, n: r == [n["patient_id"]],
        'orthanc.rest.stream(f"/instances/{instance_id}/file", to=path / "test_file.dcm")': lambda r, n: (
            r.read_bytes() == as_bytes(CT[0])
        ),
        'orthanc.rest.stream(f"/series/{series_id}/archive", to=path / "test.zip")': lambda r, n: (
            len(zipfile.ZipFile(r).namelist()) == 3
        ),
    },
}
