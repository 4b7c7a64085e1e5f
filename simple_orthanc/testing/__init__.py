"""What tests of programs for DICOM archives need: synthetic series, servers, dates, identifiers, and waiting.

Series are made by `make_series` for any modality, `make_enhanced`, `make_segmentation` and `make_structure_set`, all
with known geometry and values; `as_bytes` returns the file of an object. `simple_orthanc.testing.fixtures` has fixtures
for pytest.
"""

from simple_orthanc.phantom import as_bytes, ct_phantom, make_enhanced, make_segmentation, make_structure_set
from simple_orthanc.testing.dates import (
    from_dicom_date,
    from_dicom_date_and_time,
    from_dicom_datetime,
    from_dicom_time,
    from_orthanc_datetime,
    random_dicom_date,
    to_dicom_date,
    to_dicom_datetime,
    to_dicom_time,
)
from simple_orthanc.testing.identifiers import (
    orthanc_id_of,
    orthanc_instance_id,
    orthanc_patient_id,
    orthanc_series_id,
    orthanc_study_id,
)
from simple_orthanc.testing.series import make_series
from simple_orthanc.testing.stand_in import OrthancStandIn
from simple_orthanc.testing.waiting import wait_until

__all__ = [
    "OrthancStandIn",
    "as_bytes",
    "ct_phantom",
    "from_dicom_date",
    "from_dicom_date_and_time",
    "from_dicom_datetime",
    "from_dicom_time",
    "from_orthanc_datetime",
    "make_enhanced",
    "make_segmentation",
    "make_series",
    "make_structure_set",
    "orthanc_id_of",
    "orthanc_instance_id",
    "orthanc_patient_id",
    "orthanc_series_id",
    "orthanc_study_id",
    "random_dicom_date",
    "to_dicom_date",
    "to_dicom_datetime",
    "to_dicom_time",
    "wait_until",
]
