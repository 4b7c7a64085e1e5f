"""Text loses the identifiers of its own object, and keeps the rest."""

from __future__ import annotations

import time

import pytest

from simple_orthanc.deidentification.cleaning import Identifiers, clean_descriptor, date_forms, folded

NOBODY = Identifiers.of(())


def of_names(*names: str) -> Identifiers:
    return Identifiers.of(names=names)


@pytest.mark.parametrize(
    ("name", "text", "cleaned"),
    [
        ("Doe^Jane", "CT of JANE DOE, left", "CT of , left"),
        ("Doe^Jane", "doe_jane.ct", "_.ct"),
        ("Doe^Jane", "DoeJane", ""),
        ("Müller^Jürgen", "Mueller Juergen MRT", "MRT"),
        ("Müller^Jürgen", "MULLER JURGEN MRT", "MRT"),
        ("Mu\u0308ller^X", "Müller", ""),
        ("O'Brien-Smith^Ann", "MR brien, smith", "MR ,"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "山田太郎 頭部", "頭部"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "やまだ様 CT", "様 CT"),
        ("Buc^Jérôme", "jerome BUC", ""),
        ("Straße^Hans", "STRASSE 5", "5"),
    ],
)
def test_names_are_found_however_they_are_written(name: str, text: str, cleaned: str) -> None:
    assert of_names(name).removed_from(text) == cleaned


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Hand^Ann", "Handling of annual checks"),
        ("Li^Bo", "BOLD of the liver"),
        ("von der Ohe^Karl", "view of the door"),
        ("Doe^", "Doerner"),
        ("A^B", "T1 B0 A"),
    ],
)
def test_a_short_name_is_not_found_inside_of_words(name: str, text: str) -> None:
    assert of_names(name).removed_from(text) is text


def test_a_name_of_two_letters_is_found_in_descriptors_alone() -> None:
    identifiers = of_names("Li^Bo")
    assert identifiers.removed_from("CT Li") == "CT Li"
    assert clean_descriptor("CT Li", identifiers, keep_dates=False, keep_ages=False) == "CT"


def test_long_identifiers_are_found_inside_of_words() -> None:
    assert Identifiers.of(["4711-0815"]).removed_from("x4711-08159") == "x9"


def test_numbers_of_few_digits_are_found_in_descriptors_alone() -> None:
    identifiers = Identifiers.of(["471"])
    assert identifiers.removed_from("tfl3d 471") == "tfl3d 471"
    assert identifiers.removed_from("tfl3d 471", descriptor=True) == "tfl3d"
    assert identifiers.removed_from("tfl3d 4711", descriptor=True) == "tfl3d 4711"


@pytest.mark.parametrize("text", ["", "1", "0000", "von", "REMOVED", "-", "^"])
def test_what_identifies_nobody_is_not_searched_for(text: str) -> None:
    assert Identifiers.of([text], names=[text], places=[text]).words == frozenset()


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("MR Schädel nativ", "MR Schädel nativ"),
        ("ep2d_diff b=1000 3x3x3", "ep2d_diff b=1000 3x3x3"),
        ("T2 FLAIR 5 mm", "T2 FLAIR 5 mm"),
        ("CT of 17.05.1963", "CT of"),
        ("scan 2020-01-02 left", "scan left"),
        ("on 2 Jan 2020, 02-JAN-20, January 2, 2020", "on , ,"),
        ("2. May 2020", ""),
        ("2 sep 20, 12 may 3, marker 3 2020", "2 sep 20, 12 may 3, marker 3 2020"),
        ("seen by Dr. A. Smith today", "seen by today"),
        ("Prof Meier", ""),
        ("Mr Meier", ""),
        ("DR. MEIER", ""),
        ("DR Thorax, MS plaques", "DR Thorax, MS plaques"),
        ("matrix 512 512 16", "matrix 512 512 16"),
        ("id 123456", "id"),
        ("F 45 y/o pain", "F pain"),
        ("55M pain", "pain"),
        ("037Y", ""),
        ("delay 5 m, 3M coil, 1.5f, 20 f/s, 4 mm", "delay 5 m, 3M coil, 1.5f, 20 f/s, 4 mm"),
        ("12 years old", ""),
        ("call 0170 123 45 67", "call"),
        ("mail ann@example.org", "mail"),
    ],
)
def test_descriptors_lose_what_looks_like_a_person(text: str, cleaned: str) -> None:
    assert clean_descriptor(text, NOBODY, keep_dates=False, keep_ages=False) == cleaned


def test_what_an_option_retains_stays_in_descriptors() -> None:
    text = "55F on 2020-01-02"
    assert clean_descriptor(text, NOBODY, keep_dates=True, keep_ages=True) == text
    assert clean_descriptor("20200102 0170123456789", NOBODY, keep_dates=True, keep_ages=True) == "20200102"


@pytest.mark.parametrize("form", list(date_forms("19630507")))
def test_a_date_is_found_in_each_form(form: str) -> None:
    assert Identifiers.of(date_forms("19630507")).removed_from(f"born {form}.") == "born ."


@pytest.mark.parametrize("text", ["7 May 1963", "May 7, 1963", "07/05/63", "7-MAY-1963"])
def test_a_date_with_a_month_in_letters_or_a_short_year_is_found(text: str) -> None:
    found = Identifiers.of(date_forms("19630507"))
    assert clean_descriptor(f"born {text}", found, keep_dates=True, keep_ages=True) == "born"


def test_no_forms_of_what_is_no_date() -> None:
    assert date_forms("unknown") == ()


@pytest.mark.parametrize("word", ["a", "1", "0 ", "Dr A. ", "@"])
def test_long_words_take_no_longer_than_others(word: str) -> None:
    text = word * 50_000
    start = time.process_time()
    clean_descriptor(text, Identifiers.of(["Quidditch"]), keep_dates=False, keep_ages=False)
    assert time.process_time() - start < 5


def test_every_character_knows_its_position() -> None:
    text = "Ǆuro ﬁ ß İ"
    plain, positions = folded(text)
    assert len(plain) == len(positions)
    assert set(positions) == set(range(len(text)))


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("written", ["Müller-Öztürk", "MÜLLER-ÖZTÜRK", "müller-öztürk"])
def test_bytes_are_searched_in_each_encoding(encoding: str, written: str) -> None:
    identifiers = Identifiers.of(["Müller-Öztürk"])
    assert identifiers.are_in(b"\0\1" + written.encode(encoding) + b"\2")
    assert not identifiers.are_in("Müller".encode(encoding))


def test_identifiers_that_are_numbers_or_codes() -> None:
    identifiers = Identifiers.of(["471108", "4711", "BRAINIX"], names=["Knee^Ann", "山田^太郎"], places=["AWP45123"])
    assert identifiers.are_number("471108")
    assert not identifiers.are_number("4711")
    found = ["ANN KNEE", "knee_ann.2", "x471108", "山田太郎"]
    assert [text for text in found if not identifiers.are_surely_in(text)] == []
    not_found = ["KNEE", "ann", "BRAINIX", "AWP45123", "47110", "山田", "", "annual knees"]
    assert [text for text in not_found if identifiers.are_surely_in(text)] == []


def test_devices_and_institutions_are_found_in_descriptors_alone() -> None:
    identifiers = Identifiers.of(places=["Skyra", "Saint Hilda"])
    assert identifiers.removed_from("MAGNETOM Skyra") == "MAGNETOM Skyra"
    assert identifiers.removed_from("Knee, Skyra, SAINT HILDA", descriptor=True) == "Knee, ,"
