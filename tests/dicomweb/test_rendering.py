"""Rendered images are asked for as the standard says, and nothing else is taken for one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from simple_orthanc.dicomweb import Part, Rendering
from simple_orthanc.errors import (
    NotFoundError,
    OrthancError,
    SelectionError,
    TransportError,
    UnsupportedError,
)
from tests.dicomweb.messages import JSON, UIDS, parts, picky, transactions
from tests.http_stand_in import Asked, StandIn, always, reply


def picture(asked: Asked, _: int) -> bytes:
    kind = asked.headers["accept"]
    return reply(asked.path.encode(), headers={"Content-Type": kind})


def test_rendered_images_are_requested_as_the_standard_says() -> None:
    with StandIn(picture) as server:
        client = transactions(server)
        how = Rendering(
            "image/png",
            annotation=["patient", "technique"],
            quality=80,
            viewport=(512, 256, None, None, 100, 50),
            window=(40.5, 400),
            icc_profile="srgb",
        )
        query = (
            "annotation=patient,technique&quality=80&viewport=512,256,,,100,50&window=40.5,400,linear&iccprofile=srgb"
        )
        assert client.retrieve_instance_rendered(*UIDS, how) == [
            Part(f"/studies/1.2/series/1.2.3/instances/1.2.3.4/rendered?{query}".encode(), "image/png")
        ]
        assert client.retrieve_study_rendered("1.2")[0].content == b"/studies/1.2/rendered"
        assert client.retrieve_series_rendered("1.2", "1.2.3", Rendering("video/mp4"))[0].media_type == "video/mp4"
        frames = client.retrieve_frames_rendered(*UIDS, [3, 1])
        assert [urlsplit(frame.content.decode()).path[-11:] for frame in frames] == ["/3/rendered", "/1/rendered"]
        assert client.retrieve_study_thumbnail("1.2").content == b"/studies/1.2/thumbnail"
        small = Rendering(viewport=(64, 64))
        assert client.retrieve_series_thumbnail("1.2", "1.2.3", small).content.endswith(b"/thumbnail?viewport=64,64")
        assert client.retrieve_instance_thumbnail(*UIDS).content.endswith(b"/1.2.3.4/thumbnail")
        assert client.retrieve_frame_thumbnail(*UIDS, 2).content.endswith(b"/frames/2/thumbnail")


@pytest.mark.parametrize(
    "wrong",
    [
        {"media_type": "png"},
        {"media_type": "application/dicom+xml"},
        {"annotation": ["name"]},
        {"quality": 0},
        {"quality": 101},
        {"viewport": (1, 2, 3)},
        {"window": (40,)},
        {"window": (40, 0)},
        {"window": (40, 400, "cubic")},
        {"icc_profile": "cmyk"},
    ],
)
def test_renderings_without_meaning_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((SelectionError, UnsupportedError)):
        Rendering(**wrong)


def test_several_images_may_come_in_parts() -> None:
    answer = parts(b"one", b"two", headers="Content-Type: image/jpeg\r\n")
    with StandIn(always(answer)) as server:
        found = transactions(server).retrieve_series_rendered("1.2", "1.2.3")
        assert [part.content for part in found] == [b"one", b"two"]
    with StandIn(picky('multipart/related; type="image/jpeg"', answer)) as server:
        assert len(transactions(server).retrieve_study_rendered("1.2")) == 2


@pytest.mark.parametrize(
    "answer",
    [
        reply(b"<html>", headers={"Content-Type": "text/html"}),
        reply(b"", headers={"Content-Type": "image/jpeg"}),
        reply(b"png", headers={"Content-Type": "image/png"}),
        reply(b"", 204),
    ],
)
def test_a_response_that_is_not_an_image_is_an_error(answer: bytes) -> None:
    with StandIn(always(answer)) as server, pytest.raises(TransportError):
        transactions(server).retrieve_instance_rendered(*UIDS)


def without_thumbnails(status: int, holds: bool) -> Callable[[Asked, int], bytes]:
    item = {"0020000D": {"vr": "UI", "Value": ["1.2"]}}
    found = reply(json.dumps([item] if holds else []).encode(), headers=JSON)
    return lambda asked, _: found if "thumbnail" not in asked.path else reply({"Message": "Unknown resource"}, status)


@pytest.mark.parametrize(
    ("status", "holds", "error"),
    [
        (404, True, UnsupportedError),
        (404, False, NotFoundError),
        (405, False, UnsupportedError),
        (501, True, UnsupportedError),
    ],
)
def test_a_missing_route_is_distinguished_from_a_missing_study(
    status: int, holds: bool, error: type[OrthancError]
) -> None:
    with StandIn(without_thumbnails(status, holds)) as server, pytest.raises(error):
        transactions(server).retrieve_study_thumbnail("1.2")
