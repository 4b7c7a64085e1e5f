"""The stand-in of simple_orthanc.testing gives a session the answers that each Orthanc gives, on all modalities."""

from __future__ import annotations

import numpy as np
import pandas as pd

from simple_orthanc import Orthanc
from simple_orthanc.testing import OrthancStandIn, make_series

CT = make_series((3, 8, 8), seed=1, spacing=(2.0, 1.0, 1.0), PatientName="Müller^Anna", PatientID="P1",
                 SpecificCharacterSet="ISO_IR 192")  # fmt: skip
DATASETS = [
    *CT,
    *(
        image
        for number, modality in enumerate(("MR", "PT", "US", "CR", "SC", "RTDOSE", "SEG", "RTSTRUCT"))
        for image in make_series(
            (3, 8, 8), seed=number, modality=modality, like=CT[0], spacing=(2.0, 1.0, 1.0),
            SpecificCharacterSet="ISO_IR 192",
        )
    ),
    *make_series((2, 4, 4), seed=20, PatientName="Doe", PatientID="P2", StudyDate="20190101", AccessionNumber="A7"),
]  # fmt: skip


def test_the_stand_in_answers_as_orthanc(orthanc: Orthanc) -> None:
    assert set(orthanc.upload_dataset(DATASETS)["status"]) == {"stored"}
    with OrthancStandIn(DATASETS) as server, server.connect() as stand_in:
        for level in ("patient", "study", "series", "instance"):
            pd.testing.assert_frame_equal(orthanc.table(level=level), stand_in.table(level=level))
            assert orthanc.get_orthanc_ids(level) == stand_in.get_orthanc_ids(level)
        tags = ("Modality", "StudyDate", "SliceThickness", "Units", "SegmentationType")
        pd.testing.assert_frame_equal(orthanc.table(*tags), stand_in.table(*tags))
        for criteria in (
            {"PatientName": "müller*"},
            {"Modality": ["CT", "PT"], "PatientID": "P1"},
            {"AccessionNumber": "A7"},
            {"StudyDate": ("20190101", "20191231")},
            {"SliceThickness": 2, "Modality": "MR"},
        ):
            sessions = [session.reset().select(**criteria) for session in (orthanc, stand_in)]
            assert sessions[0].series_count == sessions[1].series_count > 0
            pd.testing.assert_frame_equal(*(session.table(level="instance") for session in sessions))
        volumes = [session.reset().select(Modality="PT").get_volume(units="SUVbw") for session in (orthanc, stand_in)]
        assert np.array_equal(volumes[0].array, volumes[1].array)
        assert volumes[0].geometry == volumes[1].geometry
        masks = [session.reset().select(Modality="SEG").get_masks(like=volumes[0]) for session in (orthanc, stand_in)]
        assert masks[0].keys() == masks[1].keys() == {"segment 1"}
