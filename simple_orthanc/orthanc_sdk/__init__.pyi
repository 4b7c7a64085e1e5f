"""The module ``orthanc`` of Orthanc's Python plugin; see ``__init__.py``."""

from simple_orthanc.orthanc_sdk.classes import *
from simple_orthanc.orthanc_sdk.enumerations import *
from simple_orthanc.orthanc_sdk.functions import *
