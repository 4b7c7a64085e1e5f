"""The functions of the plugin's module."""

from collections.abc import Callable
from typing import Any

from simple_orthanc.orthanc_sdk.classes import (
    DicomInstance,
    FindAnswers,
    FindMatcher,
    FindQuery,
    Image,
    Peers,
    WorklistAnswers,
    WorklistQuery,
)

def AutodetectMimeType(path: str, /) -> str:
    """Call OrthancPluginAutodetectMimeType of the plugin SDK."""

def BufferCompression(source: bytes, compression: int, uncompress: int, /) -> bytes:
    """Call OrthancPluginBufferCompression of the plugin SDK."""

def CheckVersion() -> int:
    """Call OrthancPluginCheckVersion of the plugin SDK."""

def CheckVersionAdvanced(major: int, minor: int, revision: int, /) -> int:
    """Call OrthancPluginCheckVersionAdvanced of the plugin SDK."""

def CompressJpegImage(pixel_format: int, width: int, height: int, pitch: int, buffer: bytes, quality: int, /) -> bytes:
    """Call OrthancPluginCompressJpegImage of the plugin SDK."""

def CompressPngImage(pixel_format: int, width: int, height: int, pitch: int, buffer: bytes, /) -> bytes:
    """Call OrthancPluginCompressPngImage of the plugin SDK."""

def ComputeMd5(buffer: bytes, /) -> str:
    """Call OrthancPluginComputeMd5 of the plugin SDK."""

def ComputeSha1(buffer: bytes, /) -> str:
    """Call OrthancPluginComputeSha1 of the plugin SDK."""

def CreateDicom(tags: str, image: Image | None, flags: int, /) -> bytes:
    """Create a DICOM file from tags in JSON and an image."""

def CreateDicomInstance(buffer: bytes, /) -> DicomInstance:
    """Call OrthancPluginCreateDicomInstance of the plugin SDK."""

def CreateFindMatcher(query: bytes, /) -> FindMatcher:
    """Call OrthancPluginCreateFindMatcher of the plugin SDK."""

def CreateImage(pixel_format: int, width: int, height: int, /) -> Image:
    """Call OrthancPluginCreateImage of the plugin SDK."""

def CreateImageFromBuffer(pixel_format: int, width: int, height: int, pitch: int, buffer: bytes, /) -> Image:
    """Create an image from its pixels."""

def CreateMemoryBuffer(size: int, /) -> bytes:
    """Call OrthancPluginCreateMemoryBuffer of the plugin SDK."""

def DecodeDicomImage(buffer: bytes, frame: int, /) -> Image:
    """Call OrthancPluginDecodeDicomImage of the plugin SDK."""

def DicomBufferToJson(buffer: bytes, json_format: int, flags: int, max_string_length: int, /) -> str:
    """Call OrthancPluginDicomBufferToJson of the plugin SDK."""

def DicomInstanceToJson(instance: str, json_format: int, flags: int, max_string_length: int, /) -> str:
    """Call OrthancPluginDicomInstanceToJson of the plugin SDK."""

def ExtendOrthancExplorer(javascript: str, /) -> None:
    """Call OrthancPluginExtendOrthancExplorer of the plugin SDK."""

def GenerateRestApiAuthorizationToken() -> str:
    """Call OrthancPluginGenerateRestApiAuthorizationToken of the plugin SDK."""

def GenerateUuid() -> str:
    """Call OrthancPluginGenerateUuid of the plugin SDK."""

def GetCommandLineArgument(index: int, /) -> str:
    """Call OrthancPluginGetCommandLineArgument of the plugin SDK."""

def GetCommandLineArgumentsCount() -> int:
    """Call OrthancPluginGetCommandLineArgumentsCount of the plugin SDK."""

def GetConfiguration() -> str:
    """Call OrthancPluginGetConfiguration of the plugin SDK."""

def GetConfigurationPath() -> str:
    """Call OrthancPluginGetConfigurationPath of the plugin SDK."""

def GetDicomForInstance(instance: str, /) -> bytes:
    """Call OrthancPluginGetDicomForInstance of the plugin SDK."""

def GetErrorDescription(error: int, /) -> str:
    """Call OrthancPluginGetErrorDescription of the plugin SDK."""

def GetExpectedDatabaseVersion() -> int:
    """Call OrthancPluginGetExpectedDatabaseVersion of the plugin SDK."""

def GetFontName(index: int, /) -> str:
    """Call OrthancPluginGetFontName of the plugin SDK."""

def GetFontSize(index: int, /) -> int:
    """Call OrthancPluginGetFontSize of the plugin SDK."""

def GetFontsCount() -> int:
    """Call OrthancPluginGetFontsCount of the plugin SDK."""

def GetGlobalProperty(number: int, default: str, /) -> str:
    """Call OrthancPluginGetGlobalProperty of the plugin SDK."""

def GetOrthancDirectory() -> str:
    """Call OrthancPluginGetOrthancDirectory of the plugin SDK."""

def GetOrthancPath() -> str:
    """Call OrthancPluginGetOrthancPath of the plugin SDK."""

def GetPeers() -> Peers:
    """Call OrthancPluginGetPeers of the plugin SDK."""

def GetTagName(group: int, element: int, private_creator: str, /) -> str:
    """Call OrthancPluginGetTagName of the plugin SDK."""

def HttpDelete(url: str, username: str, password: str, /) -> None:
    """Call OrthancPluginHttpDelete of the plugin SDK."""

def HttpGet(url: str, username: str, password: str, /) -> bytes:
    """Call OrthancPluginHttpGet of the plugin SDK."""

def HttpPost(url: str, body: bytes, username: str, password: str, /) -> bytes:
    """Call OrthancPluginHttpPost of the plugin SDK."""

def HttpPut(url: str, body: bytes, username: str, password: str, /) -> bytes:
    """Call OrthancPluginHttpPut of the plugin SDK."""

def LogError(message: str, /) -> None:
    """Call OrthancPluginLogError of the plugin SDK."""

def LogInfo(message: str, /) -> None:
    """Call OrthancPluginLogInfo of the plugin SDK."""

def LogWarning(message: str, /) -> None:
    """Call OrthancPluginLogWarning of the plugin SDK."""

def LookupDictionary(name: str, /) -> dict[str, Any]:
    """Look up a DICOM tag by its keyword or number."""

def LookupInstance(uid: str, /) -> str | None:
    """Call OrthancPluginLookupInstance of the plugin SDK."""

def LookupPatient(patient_id: str, /) -> str | None:
    """Call OrthancPluginLookupPatient of the plugin SDK."""

def LookupSeries(uid: str, /) -> str | None:
    """Call OrthancPluginLookupSeries of the plugin SDK."""

def LookupStudy(uid: str, /) -> str | None:
    """Call OrthancPluginLookupStudy of the plugin SDK."""

def LookupStudyWithAccessionNumber(accession_number: str, /) -> str | None:
    """Call OrthancPluginLookupStudyWithAccessionNumber of the plugin SDK."""

def ReadFile(path: str, /) -> bytes:
    """Call OrthancPluginReadFile of the plugin SDK."""

def RegisterDictionaryTag(group: int, element: int, vr: int, name: str, minimum: int, maximum: int, /) -> None:
    """Call OrthancPluginRegisterDictionaryTag of the plugin SDK."""

def RegisterErrorCode(code: int, http_status: int, message: str, /) -> None:
    """Call OrthancPluginRegisterErrorCode of the plugin SDK."""

def RegisterFindCallback(callback: Callable[[FindAnswers, FindQuery, str, str], object], /) -> None:
    """Answer C-FIND requests."""

def RegisterIncomingCStoreInstanceFilter(callback: Callable[[DicomInstance], int], /) -> None:
    """Decide which instances are accepted by C-STORE."""

def RegisterIncomingHttpRequestFilter(callback: Callable[..., bool], /) -> None:
    """Decide which HTTP requests are answered."""

def RegisterMoveCallback(callback: Callable[..., object], /) -> None:
    """Answer C-MOVE requests."""

def RegisterOnChangeCallback(callback: Callable[[int, int, str], object], /) -> None:
    """Call a function for each change."""

def RegisterOnStoredInstanceCallback(callback: Callable[[DicomInstance, str], object], /) -> None:
    """Call a function for each instance that was stored."""

def RegisterPrivateDictionaryTag(
    group: int, element: int, vr: int, name: str, minimum: int, maximum: int, private_creator: str, /
) -> None:
    """Call OrthancPluginRegisterPrivateDictionaryTag of the plugin SDK."""

def RegisterReceivedInstanceCallback(callback: Callable[[bytes, int], tuple[int, bytes | None]], /) -> None:
    """Keep, change or discard each instance that arrives."""

def RegisterRestCallback(uri: str, callback: Callable[..., object], /) -> None:
    """Answer a route: called with output, uri and keywords."""

def RegisterStorageArea(
    create: Callable[[str, int, bytes], object],
    read: Callable[[str, int], bytes],
    remove: Callable[[str, int], object],
    /,
) -> None:
    """Replace the storage of files."""

def RegisterWorklistCallback(callback: Callable[[WorklistAnswers, WorklistQuery, str, str], object], /) -> None:
    """Answer requests for worklists."""

def RestApiDelete(uri: str, /) -> None:
    """Call OrthancPluginRestApiDelete of the plugin SDK."""

def RestApiDeleteAfterPlugins(uri: str, /) -> None:
    """Call OrthancPluginRestApiDeleteAfterPlugins of the plugin SDK."""

def RestApiGet(uri: str, /) -> bytes:
    """Call OrthancPluginRestApiGet of the plugin SDK."""

def RestApiGetAfterPlugins(uri: str, /) -> bytes:
    """Call OrthancPluginRestApiGetAfterPlugins of the plugin SDK."""

def RestApiPost(uri: str, body: bytes | str, /) -> bytes:
    """Call OrthancPluginRestApiPost of the plugin SDK."""

def RestApiPostAfterPlugins(uri: str, body: bytes | str, /) -> bytes:
    """Call OrthancPluginRestApiPostAfterPlugins of the plugin SDK."""

def RestApiPut(uri: str, body: bytes | str, /) -> bytes:
    """Call OrthancPluginRestApiPut of the plugin SDK."""

def RestApiPutAfterPlugins(uri: str, body: bytes | str, /) -> bytes:
    """Call OrthancPluginRestApiPutAfterPlugins of the plugin SDK."""

def SetDescription(description: str, /) -> None:
    """Call OrthancPluginSetDescription of the plugin SDK."""

def SetGlobalProperty(number: int, value: str, /) -> None:
    """Call OrthancPluginSetGlobalProperty of the plugin SDK."""

def SetMetricsValue(name: str, value: float, metrics_type: int, /) -> None:
    """Call OrthancPluginSetMetricsValue of the plugin SDK."""

def SetRootUri(uri: str, /) -> None:
    """Call OrthancPluginSetRootUri of the plugin SDK."""

def TranscodeDicomInstance(buffer: bytes, transfer_syntax: str, /) -> DicomInstance:
    """Call OrthancPluginTranscodeDicomInstance of the plugin SDK."""

def UncompressImage(buffer: bytes, image_format: int, /) -> Image:
    """Call OrthancPluginUncompressImage of the plugin SDK."""

def WriteFile(path: str, buffer: bytes, /) -> None:
    """Call OrthancPluginWriteFile of the plugin SDK."""
