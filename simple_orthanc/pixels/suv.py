"""Standardized uptake values (SUV) of positron emission tomography.

An SUV is the activity concentration divided by the dose per gram of body: ``c / (dose at the reference time / mass)``.
Much of what is needed is optional in practice, ambiguous, or written in the wrong unit. What is missing is refused by
the name of its tag; what was decided is in the record.

References
----------
Units (0054,1001), SUV Type (0054,1006) and Decay Correction (0054,1102): PS3.3 section C.8.9.1. Order of the reference
times: Quantitative Imaging Biomarkers Alliance (QIBA), "Standardized Uptake Value (SUV)", vendor-neutral pseudocode.
Frame reference time, private elements and reference objects: Vácha and others, "Comprehensive Manual for SUV
Computation and Digital Reference Objects for its Verification", OncoRay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.errors import SuvError
from simple_orthanc.pixels import suv_times

_FORMULAS = {
    "BW": "body weight",
    "LBM": "lean body mass of James: men 1.10 W - 120 (W/H)^2, women 1.07 W - 148 (W/H)^2; kg, cm",
    "LBMJAMES128": "lean body mass of James: men 1.10 W - 128 (W/H)^2, women 1.07 W - 148 (W/H)^2; kg, cm",
    "LBMJANMA": "lean body mass of Janmahasatian: men 9270 W/(6680 + 216 BMI), women 9270 W/(8780 + 244 BMI); kg, m",
    "IBW": "ideal body weight of Sugawara: men 48 + 1.06 (H - 152), women 45.5 + 0.91 (H - 152); kg, cm",
    "BSA": "body surface area of Du Bois: 0.007184 W^0.425 H^0.725 m^2; kg, cm",
}
# Of the two formulas for lean body mass in use, Janmahasatian's does not break down for obese patients (Tahari and
# others, J Nucl Med 2014, PMC4337860). The others can be asked for by name.
_KINDS = {
    "SUVbw": "BW",
    "SUVlbm": "LBMJANMA",
    "SUVbsa": "BSA",
    "SUVibw": "IBW",
    "SUVlbmjanma": "LBMJANMA",
    "SUVlbmjames128": "LBMJAMES128",
}
_REFERENCES = ("QIBA", "frame reference time")
_PHILIPS = ("Philips PET Private Group", ("philips", "adac"))


def suv_type(kind: str) -> str:
    """Return the value of SUVType (0054,1006) of a kind of standardized uptake values.

    Examples
    --------
    >>> suv_type("SUVbw"), suv_type("SUVlbm")
    ('BW', 'LBMJANMA')
    """
    return _KINDS[kind]


@dataclass(frozen=True)
class SuvRecord:
    """The inputs and choices behind a standardized uptake value.

    Attributes
    ----------
    kind : str
        "SUVbw", "SUVlbm", "SUVbsa" or "SUVibw".
    formula : str
        The normalisation in words, and how it came from the stored unit.
    units_in : str
        Units (0054,1001).
    reference_time : datetime or None
        The moment to which the pixels are decay corrected, the first of several; None if it is not needed.
    reference_time_source : str
        The source of that moment.
    administration_time : datetime or None
    half_life : float or None
        In seconds.
    total_dose, dose_at_reference : float or None
        In Bq.
    weight : float or None
        In kg.
    height : float or None
        In m.
    sex : str
        "M", "F", "O" or empty.
    warnings : tuple of str

    Examples
    --------
    >>> from simple_orthanc import Folder
    >>> pet = Folder.example().select(Modality="PT").get_volume(units="SUVbw")
    >>> record = pet.suv
    >>> record.kind, record.weight, record.half_life
    ('SUVbw', 70.0, 6586.2)
    >>> record.reference_time_source
    'SeriesDate (0008,0021), SeriesTime (0008,0031)'
    """

    kind: str
    formula: str
    units_in: str
    reference_time: datetime | None = None
    reference_time_source: str = "none needed"
    administration_time: datetime | None = None
    half_life: float | None = None
    total_dose: float | None = None
    dose_at_reference: float | None = None
    weight: float | None = None
    height: float | None = None
    sex: str = ""
    warnings: tuple[str, ...] = ()


SUV_KINDS = tuple(_KINDS)
# Factors are about 1e-4. Smaller ones, and those larger than its reciprocal, have no values in float32.
_LEAST = 1e-30


def suv_scale(
    headers: Sequence[Dataset], kind: str = "SUVbw", *, reference: str = "QIBA"
) -> tuple[list[float], SuvRecord]:
    """Compute the factors from rescaled pixel values to standardized uptake values.

    Parameters
    ----------
    headers : sequence of Dataset
        Of the images of one series; pixels are not needed.
    kind : {"SUVbw", "SUVlbm", "SUVbsa", "SUVibw"}
        Normalised by body weight, by lean body mass (of Janmahasatian; "SUVlbmjames128" for that of James), by body
        surface area (cm2/ml), or by ideal body weight. All others are in g/ml.
    reference : {"QIBA", "frame reference time"}
        How the reference time of DecayCorrection START is found: by the start of the series where that can be, or
        always by the Frame Reference Time.

    Returns
    -------
    list of float
        For each header, the factor for the values of ``units="modality"``.
    SuvRecord

    Raises
    ------
    SuvError
        A required element is missing, unusable or contradictory; the message names the tag.

    Examples
    --------
    >>> header = Dataset()
    >>> header.Modality, header.Units, header.PatientWeight = "PT", "BQML", "70"
    >>> header.DecayCorrection, header.CorrectedImage = "ADMIN", ["ATTN", "DECY"]
    >>> header.RadiopharmaceuticalInformationSequence = [Dataset()]
    >>> item = header.RadiopharmaceuticalInformationSequence[0]
    >>> item.RadionuclideTotalDose, item.RadionuclideHalfLife = "350000000", "6586.2"
    >>> item.RadiopharmaceuticalStartDateTime = "20250101100000"
    >>> factors, record = suv_scale([header])
    >>> factors, record.dose_at_reference
    ([0.0002], 350000000.0)
    """
    if kind not in _KINDS:
        raise SuvError(f"kind={kind!r} is not valid; choose {', '.join(_KINDS)}.")
    if reference not in _REFERENCES:
        raise SuvError(f"reference={reference!r} is not valid; choose {', '.join(_REFERENCES)}.")
    if not headers:
        raise SuvError(f"{kind} was requested for no image.")
    try:
        factors, record = _scale(headers, kind, reference)
        usable = all(_LEAST < factor < 1 / _LEAST for factor in factors)
    except (OverflowError, ZeroDivisionError):
        usable = False
    if not usable:
        raise SuvError(
            f"{kind} was requested for {elements.instance_of(headers[0])}, but its factor would be 0, negative or "
            "infinite: PatientWeight (0010,1030), PatientSize (0010,1020), RadionuclideTotalDose (0018,1074), "
            "RadionuclideHalfLife (0018,1075) or the times between are not those of a patient. Correct them, or read "
            "the images with get_volume()."
        )
    return factors, record


def _scale(headers: Sequence[Dataset], kind: str, reference: str) -> tuple[list[float], SuvRecord]:
    """Compute the factors by what the pixels hold: SUV, counts, or activity."""
    units = _same(headers, "Units").upper()
    if not units:
        raise SuvError(
            f"{kind} was requested for {elements.instance_of(headers[0])}, which has no Units (0054,1001): it is not "
            "an image of the Positron Emission Tomography SOP class."
        )
    warnings = _corrections(headers)
    for header in headers:
        if elements.number(header, "RescaleIntercept"):
            raise SuvError(
                f"RescaleIntercept (0028,1052) of {elements.instance_of(header)} is not 0, as PET requires: its values "
                "are no concentrations."
            )
    body = _Body(headers, warnings)
    target = _KINDS[kind]
    if units in ("GML", "CM2ML"):
        source = _stored_type(headers, units)
        return _converted(headers, [1.0] * len(headers), kind, source, units, body)
    if units == "CNTS":
        factors = [_philips(header, 0x00) for header in headers]
        usable = [factor for factor in factors if factor]
        if len(usable) == len(headers):
            return _converted(headers, usable, kind, "BW", "CNTS with Philips SUV factor (7053,1000)", body)
    to_activity = [_to_activity(header, units) for header in headers]
    return _from_activity(headers, to_activity, kind, body.mass(target), body, units, reference)


class _Body:
    """Weight, height and sex of the patient, read when a formula needs them."""

    def __init__(self, headers: Sequence[Dataset], warnings: list[str]) -> None:
        self._headers = headers
        self.warnings = warnings
        self.sex = ""
        self._weight: float | None = None
        self._height: float | None = None

    @property
    def weight(self) -> float:
        """In kg."""
        if self._weight is None:
            self._weight = self._measure("PatientWeight", 1000, 1000, "grams")
        return self._weight

    @property
    def height(self) -> float:
        """In m."""
        if self._height is None:
            self._height = self._measure("PatientSize", 3, 100, "centimetres")
        return self._height

    def _measure(self, keyword: str, most: float, divisor: float, unit: str) -> float:
        """Read a measure of the body; one that is too large for any body is in the smaller unit."""
        value = _positive(self._headers, keyword)
        if value <= most:
            return value
        self.warnings.append(f"{elements.name_of(keyword)} is {value:g}, which was taken for {unit}.")
        return value / divisor

    @property
    def known(self) -> tuple[float | None, float | None]:
        """Weight and height, None where no formula needed them."""
        return self._weight, self._height

    def mass(self, formula: str) -> float:
        """Return the mass that normalises an SUV of this type, in g; for the body surface area, in cm2."""
        return self._of_sex(*self._masses(formula))

    def ratio(self, target: str, source: str) -> float:
        """Return the factor from one type of SUV to another; for sex O, the mean of the factors of both sexes."""
        to_men, to_women = self._masses(target)
        from_men, from_women = self._masses(source)
        return self._of_sex(to_men / from_men, to_women / from_women)

    def _masses(self, formula: str) -> tuple[float, float]:
        """Return the mass for men and for women; they are equal if the formula does not depend on the sex."""
        if formula == "BW":
            return self.weight * 1000, self.weight * 1000
        weight, height = self.weight, self.height
        centimetres = height * 100
        if formula == "BSA":
            area = float(0.007184 * weight**0.425 * centimetres**0.725 * 1e4)
            return area, area
        ratio, index = (weight / centimetres) ** 2, weight / height**2
        masses = {
            "LBM": (1.10 * weight - 120 * ratio, 1.07 * weight - 148 * ratio),
            "LBMJAMES128": (1.10 * weight - 128 * ratio, 1.07 * weight - 148 * ratio),
            "LBMJANMA": (9270 * weight / (6680 + 216 * index), 9270 * weight / (8780 + 244 * index)),
            "IBW": (48 + 1.06 * (centimetres - 152), 45.5 + 0.91 * (centimetres - 152)),
        }[formula]
        kilograms = self._of_sex(*masses)
        if kilograms <= 0:
            raise SuvError(
                f"{_FORMULAS[formula]} gives {kilograms:.1f} kg for PatientWeight (0010,1030) {weight:g} kg and "
                f"PatientSize (0010,1020) {height:g} m."
            )
        return masses[0] * 1000, masses[1] * 1000

    def _of_sex(self, men: float, women: float) -> float:
        if men == women:
            return men
        self.sex = _same(self._headers, "PatientSex").upper()
        if self.sex == "O":
            message = "PatientSex (0010,0040) is O: the mean of the values for men and women was used."
            if message not in self.warnings:
                self.warnings.append(message)
            return (men + women) / 2
        if self.sex not in ("M", "F"):
            raise SuvError(f"PatientSex (0010,0040) is {self.sex or 'missing'}, and the formula needs M, F or O.")
        return men if self.sex == "M" else women


def _converted(
    headers: Sequence[Dataset], factors: list[float], kind: str, source: str, units: str, body: _Body
) -> tuple[list[float], SuvRecord]:
    """Convert one type of SUV to another, which needs neither dose nor times, only the two normalisations."""
    target = _KINDS[kind]
    formula = f"stored as SUV by {_FORMULAS[source]}"
    if source != target:
        ratio = body.ratio(target, source)
        factors = [factor * ratio for factor in factors]
        formula += f"; converted to {_FORMULAS[target]}"
    weight, height = body.known
    record = SuvRecord(kind, formula, units, weight=weight, height=height, sex=body.sex, warnings=tuple(body.warnings))
    return factors, record


def _from_activity(
    headers: Sequence[Dataset],
    to_activity: list[float],
    kind: str,
    mass: float,
    body: _Body,
    units: str,
    reference: str,
) -> tuple[list[float], SuvRecord]:
    """Divide the concentration by the dose per gram that is left at the reference time."""
    item = _radiopharmaceutical(headers)
    half_life = _positive([item], "RadionuclideHalfLife", headers[0])
    dose = _positive([item], "RadionuclideTotalDose", headers[0])
    if dose < 1e5:
        body.warnings.append(f"RadionuclideTotalDose (0018,1074) is {dose:g}, which was taken for MBq.")
        dose *= 1e6
    correction = _same(headers, "DecayCorrection").upper()
    administered: datetime | None = None
    moment: datetime | None = None
    if correction == "ADMIN":
        left, source = [dose] * len(headers), "the administration itself: DecayCorrection (0054,1102) is ADMIN"
        moment = administered = suv_times.stated_injection_time(headers[0], item)
    elif correction in ("START", "NONE"):
        if correction == "START":
            references = suv_times.as_started(headers, half_life, prefer_series=reference == "QIBA")
        else:
            references = suv_times.as_acquired(headers, half_life)
        moment, source = min(references.times), references.source
        administered, notes = suv_times.injection_time(headers[0], item, moment, half_life)
        body.warnings += [*references.warnings, *notes]
        left = [dose * 2 ** (-(time - administered).total_seconds() / half_life) for time in references.times]
    else:
        raise SuvError(
            f"DecayCorrection (0054,1102) is {correction or 'missing'}; START, ADMIN or NONE is needed to know to what "
            "moment the pixels are corrected."
        )
    weight, height = body.known
    record = SuvRecord(
        kind=kind,
        formula=f"activity concentration / (dose at the reference time / {_FORMULAS[_KINDS[kind]]})",
        units_in=units,
        reference_time=moment,
        reference_time_source=source,
        administration_time=administered,
        half_life=half_life,
        total_dose=dose,
        dose_at_reference=max(left),
        weight=weight,
        height=height,
        sex=body.sex,
        warnings=tuple(body.warnings),
    )
    return [factor * mass / remaining for factor, remaining in zip(to_activity, left, strict=True)], record


def _corrections(headers: Sequence[Dataset]) -> list[str]:
    """Refuse images that are not corrected for attenuation, or whose elements disagree about decay correction."""
    done = set.intersection(
        *({value.upper() for value in elements.texts(header, "CorrectedImage")} for header in headers)
    )
    if not any("CorrectedImage" in header and elements.text(header, "CorrectedImage") for header in headers):
        return ["CorrectedImage (0028,0051) is missing: nothing says that the images are corrected for attenuation."]
    if "ATTN" not in done:
        raise SuvError(
            f"CorrectedImage (0028,0051) is {', '.join(sorted(done))}, without ATTN: the images are not corrected for "
            "attenuation, and their values are no concentrations."
        )
    if elements.text(headers[0], "Units").upper() in ("GML", "CM2ML"):
        return []
    correction = elements.text(headers[0], "DecayCorrection").upper()
    if "DECY" not in done and correction in ("START", "ADMIN"):
        raise SuvError(
            f"DecayCorrection (0054,1102) is {correction}, and CorrectedImage (0028,0051) is "
            f"{', '.join(sorted(done))}, without DECY: it is unknown whether the images are decay corrected."
        )
    if "DECY" in done and correction == "NONE":
        return ["CorrectedImage (0028,0051) has DECY, and DecayCorrection (0054,1102) is NONE, which was used."]
    return []


def _stored_type(headers: Sequence[Dataset], units: str) -> str:
    """Return the normalisation of an image that already holds SUV; GML without SUV Type is by body weight."""
    suv_type = _same(headers, "SUVType").upper() or ("BW" if units == "GML" else "BSA")
    if suv_type not in _FORMULAS or (suv_type == "BSA") != (units == "CM2ML"):
        raise SuvError(
            f"Units (0054,1001) is {units}, and SUVType (0054,1006) is {suv_type}: these contradict each other."
        )
    return suv_type


def _philips(header: Dataset, element: int) -> float | None:
    for tag in elements.private(header, 0x7053, element, *_PHILIPS):
        value = elements.number(header, tag)
        if value is not None and value > 0:
            return value
    return None


def _to_activity(header: Dataset, units: str) -> float:
    """Return the factor from the values of an image to Bq/ml."""
    if units == "BQML":
        return 1.0
    if units == "CNTS":
        factor = _philips(header, 0x09)
        if factor is None:
            raise SuvError(
                f"Units (0054,1001) of {elements.instance_of(header)} is CNTS, and neither Philips's SUV factor "
                "(7053,1000) nor its activity factor (7053,1009) is given, so that the meaning of a count is unknown."
            )
        return factor
    if units == "CPS":
        spacing = elements.numbers(header, "PixelSpacing")
        thickness = elements.number(header, "SliceThickness")
        if len(spacing) != 2 or not thickness or min(spacing) <= 0 or thickness <= 0:
            raise SuvError(
                f"Units (0054,1001) of {elements.instance_of(header)} is CPS, and the volume of its voxels is unknown: "
                "PixelSpacing (0028,0030) or SliceThickness (0018,0050) is missing."
            )
        millilitres = spacing[0] * spacing[1] * thickness / 1000
        if "DCAL" in elements.texts(header, "CorrectedImage"):
            return 1.0 / millilitres
        return _positive([header], "DoseCalibrationFactor") / millilitres
    raise SuvError(
        f"Units (0054,1001) of {elements.instance_of(header)} is {units}, from which no concentration follows. "
        "BQML, GML, CM2ML, CNTS of Philips and CPS can be used."
    )


def _radiopharmaceutical(headers: Sequence[Dataset]) -> Dataset:
    items = elements.items(headers[0], "RadiopharmaceuticalInformationSequence")
    if len(items) != 1:
        raise SuvError(
            f"RadiopharmaceuticalInformationSequence (0054,0016) of {elements.instance_of(headers[0])} "
            + (f"has {len(items)} items, and it is unknown which of them is this dose." if items else "is missing.")
        )
    for header in headers[1:]:
        other = elements.items(header, "RadiopharmaceuticalInformationSequence")
        for keyword in ("RadionuclideTotalDose", "RadionuclideHalfLife"):
            if len(other) != 1 or elements.number(other[0], keyword) != elements.number(items[0], keyword):
                raise SuvError(f"The images differ in {elements.name_of(keyword)}: they are not of one examination.")
        if suv_times.written_injection(header, other[0]) != suv_times.written_injection(headers[0], items[0]):
            raise SuvError(
                f"The images differ in {elements.name_of('RadiopharmaceuticalStartDateTime')} or "
                f"{elements.name_of('RadiopharmaceuticalStartTime')}: they are not of one examination."
            )
    return items[0]


def _positive(headers: Sequence[Dataset], keyword: str, owner: Dataset | None = None) -> float:
    values = {elements.number(header, keyword) for header in headers}
    value = values.pop()
    if values:
        raise SuvError(f"The images differ in {elements.name_of(keyword)}: they are not of one examination.")
    if value is None or value <= 0:
        raise SuvError(
            f"{elements.name_of(keyword)} of {elements.instance_of(owner or headers[0])} is "
            f"{'missing' if value is None else f'{value:g}'}, and the SUV needs it."
        )
    return value


def _same(headers: Sequence[Dataset], keyword: str) -> str:
    values = {elements.text(header, keyword) for header in headers}
    if len(values) > 1:
        raise SuvError(
            f"The images differ in {elements.name_of(keyword)}: {', '.join(sorted(values))}. Select those of one value."
        )
    return values.pop()
