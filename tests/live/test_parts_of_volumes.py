"""Parts of volumes and volumes on demand, through real servers: the same values, and fewer bytes."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from typing import Any

import dask
import numpy as np
import pytest
import xarray
from pydicom.dataset import Dataset

from benchmarks.relay import Relay
from simple_orthanc import DicomWeb, LocalOrthanc, MissingSlicesError, Orthanc, Session, VolumeError
from simple_orthanc.phantom import as_bytes, make_series
from tests.conftest import MakeServer
from tests.live.archives import store
from tests.session.reading.volume_kinds import kinds
from tests.volume.test_builder import assert_same

pytestmark = pytest.mark.unmeasured

KINDS = kinds()


def dicomweb(server: LocalOrthanc) -> Session:
    return DicomWeb(f"{server.url}/dicom-web")


@pytest.mark.parametrize("connect", [LocalOrthanc.connect, dicomweb], ids=["Orthanc", "DICOMweb"])
@pytest.mark.parametrize("name", ["CT", "SUV", "time", "RLE", "enhanced, time", "floats", "segments", "mosaics"])
def test_parts_are_those_of_the_whole_volume(
    empty_server: LocalOrthanc, connect: Callable[[LocalOrthanc], Session], name: str
) -> None:
    kind = KINDS[name]
    store(empty_server, *kind.files)
    with connect(empty_server) as session:
        whole = session.get_volume(**kind.options)
        part: Any = whole[:, 1:4] if "dims" in kind.options else whole[1:4]
        assert_same(session.get_volume(**kind.options, slices=slice(1, 4)), part)
        data = session.get_volume(**kind.options, lazy=True)
        xarray.testing.assert_identical(data.compute(), whole.to_xarray())
        there = pickle.loads(pickle.dumps(data))
        xarray.testing.assert_identical(there.isel(slice=slice(1, 4)).compute(), data.isel(slice=slice(1, 4)).compute())


def test_a_part_takes_fewer_bytes_where_the_server_sends_parts_of_files(empty_server: LocalOrthanc) -> None:
    array = np.random.default_rng(1).integers(0, 4000, (40, 256, 256)).astype(np.int16)
    with empty_server.connect() as session:
        session.upload_dataset(make_series(array=array))
        ranges = session.rest.capabilities.ranges
    received = []
    for slices in (None, slice(10, 14), 39):
        with Relay(empty_server.url) as relay, Orthanc(relay.url) as session:
            before = relay.requests
            session.get_volume(slices=slices)
            # Each object is asked for once, and the archive for its index.
            assert relay.requests - before < 40 + 12
            received.append(relay.received)
    whole, four, one = received
    if ranges:
        assert whole / four > 3
        assert whole / one > 5
    else:
        assert abs(four / whole - 1) < 0.1


def test_a_slice_that_is_replaced_is_refused(empty_server: LocalOrthanc, orthanc: Orthanc) -> None:
    images = make_series((6, 16, 16), seed=1)
    orthanc.upload_dataset(images)
    data = orthanc.get_volume(lazy=True)
    other: Dataset = images[2]
    # Only its pixels differ.
    other.PixelData = bytes(reversed(other.PixelData))
    with empty_server.connect() as editor:
        editor.select(SOPInstanceUID=other.SOPInstanceUID).delete(level="instance")
        editor.upload_dataset([other])
    with dask.config.set(scheduler="synchronous"):
        assert data.isel(slice=slice(3, None)).compute().shape == (3, 16, 16)
        for lazily in (data, pickle.loads(pickle.dumps(data))):
            with pytest.raises(VolumeError, match=f"{other.SOPInstanceUID} is another one .* it was replaced"):
                lazily.compute()
    orthanc.refresh()
    assert orthanc.get_volume(lazy=True).compute().shape == (6, 16, 16)


def test_a_slice_that_is_replaced_is_refused_where_the_server_keeps_no_checksums(make_server: MakeServer) -> None:
    server = make_server({"OverwriteInstances": True, "StoreMD5ForAttachments": False})
    images = make_series((3, 8, 8))
    store(server, *map(as_bytes, images))
    with server.connect() as session, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        data = session.get_volume(lazy=True)
        images[1].PixelData = bytes(len(images[1].PixelData))
        store(server, as_bytes(images[1]))
        assert data[0].compute().shape == (8, 8)
        for reading in (data, pickle.loads(pickle.dumps(data))):
            with pytest.raises(VolumeError, match="was replaced in the archive"):
                reading[1].compute()
        assert len(np.unique(session.refresh().get_volume(lazy=True)[1])) == 1


def test_a_part_of_what_has_holes_is_refused(orthanc: Orthanc) -> None:
    orthanc.upload_dataset([image for number, image in enumerate(make_series((9, 4, 4))) if number != 6])
    for options in ({"slices": slice(0, 3)}, {"lazy": True}):
        with pytest.raises(MissingSlicesError, match="1 slice is missing"):
            orthanc.get_volume(**options)
    assert orthanc.get_volume(gaps="nan", slices=6).array.dtype == np.float32


def test_one_object_is_read_for_a_thumbnail(orthanc: Orthanc) -> None:
    orthanc.upload_dataset(make_series((9, 16, 12)))
    orthanc.table("SeriesDescription", "InstanceNumber", level="instance")
    before = orthanc._source.requests
    assert orthanc.thumbnail().size == (192, 256)
    assert orthanc._source.requests - before <= 2
