"""The classes of the plugin's module; only the plugin makes objects of them."""

class DicomInstance:
    """OrthancPluginDicomInstance of the plugin SDK."""

    def GetInstanceAdvancedJson(self, json_format: int, flags: int, max_string_length: int, /) -> str:
        """Call OrthancPluginGetInstanceAdvancedJson of the plugin SDK."""

    def GetInstanceData(self, /) -> bytes:
        """Call OrthancPluginGetInstanceData of the plugin SDK."""

    def GetInstanceDecodedFrame(self, frame: int, /) -> Image:
        """Call OrthancPluginGetInstanceDecodedFrame of the plugin SDK."""

    def GetInstanceFramesCount(self, /) -> int:
        """Call OrthancPluginGetInstanceFramesCount of the plugin SDK."""

    def GetInstanceJson(self, /) -> str:
        """Call OrthancPluginGetInstanceJson of the plugin SDK."""

    def GetInstanceMetadata(self, name: str, /) -> str:
        """Call OrthancPluginGetInstanceMetadata of the plugin SDK."""

    def GetInstanceOrigin(self, /) -> int:
        """Call OrthancPluginGetInstanceOrigin of the plugin SDK."""

    def GetInstanceRawFrame(self, frame: int, /) -> bytes:
        """Call OrthancPluginGetInstanceRawFrame of the plugin SDK."""

    def GetInstanceRemoteAet(self, /) -> str:
        """Call OrthancPluginGetInstanceRemoteAet of the plugin SDK."""

    def GetInstanceSimplifiedJson(self, /) -> str:
        """Call OrthancPluginGetInstanceSimplifiedJson of the plugin SDK."""

    def GetInstanceSize(self, /) -> int:
        """Call OrthancPluginGetInstanceSize of the plugin SDK."""

    def GetInstanceTransferSyntaxUid(self, /) -> str:
        """Call OrthancPluginGetInstanceTransferSyntaxUid of the plugin SDK."""

    def HasInstanceMetadata(self, name: str, /) -> int:
        """Call OrthancPluginHasInstanceMetadata of the plugin SDK."""

    def HasInstancePixelData(self, /) -> int:
        """Call OrthancPluginHasInstancePixelData of the plugin SDK."""

    def SerializeDicomInstance(self, /) -> bytes:
        """Call OrthancPluginSerializeDicomInstance of the plugin SDK."""

class DicomWebNode:
    """OrthancPluginDicomWebNode of the plugin SDK."""

class FindAnswers:
    """OrthancPluginFindAnswers of the plugin SDK."""

    def FindAddAnswer(self, dicom: bytes, /) -> None:
        """Call OrthancPluginFindAddAnswer of the plugin SDK."""

    def FindMarkIncomplete(self, /) -> None:
        """Call OrthancPluginFindMarkIncomplete of the plugin SDK."""

class FindMatcher:
    """OrthancPluginFindMatcher of the plugin SDK."""

    def FindMatcherIsMatch(self, dicom: bytes, /) -> int:
        """Call OrthancPluginFindMatcherIsMatch of the plugin SDK."""

class FindQuery:
    """OrthancPluginFindQuery of the plugin SDK."""

    def GetFindQuerySize(self, /) -> int:
        """Call OrthancPluginGetFindQuerySize of the plugin SDK."""

    def GetFindQueryTagElement(self, index: int, /) -> int:
        """Call OrthancPluginGetFindQueryTag of the plugin SDK."""

    def GetFindQueryTagGroup(self, index: int, /) -> int:
        """Call OrthancPluginGetFindQueryTag of the plugin SDK."""

    def GetFindQueryTagName(self, index: int, /) -> str:
        """Call OrthancPluginGetFindQueryTagName of the plugin SDK."""

    def GetFindQueryValue(self, index: int, /) -> str:
        """Call OrthancPluginGetFindQueryValue of the plugin SDK."""

class Image:
    """OrthancPluginImage of the plugin SDK."""

    def ConvertPixelFormat(self, pixel_format: int, /) -> Image:
        """Call OrthancPluginConvertPixelFormat of the plugin SDK."""

    def DrawText(self, font: int, text: str, x: int, y: int, red: int, green: int, blue: int, /) -> None:
        """Call OrthancPluginDrawText of the plugin SDK."""

    def GetImageBuffer(self, /) -> bytes:
        """Call OrthancPluginGetImageBuffer of the plugin SDK."""

    def GetImageHeight(self, /) -> int:
        """Call OrthancPluginGetImageHeight of the plugin SDK."""

    def GetImagePitch(self, /) -> int:
        """Call OrthancPluginGetImagePitch of the plugin SDK."""

    def GetImagePixelFormat(self, /) -> int:
        """Call OrthancPluginGetImagePixelFormat of the plugin SDK."""

    def GetImageWidth(self, /) -> int:
        """Call OrthancPluginGetImageWidth of the plugin SDK."""

class Job:
    """OrthancPluginJob of the plugin SDK."""

    def SubmitJob(self, priority: int, /) -> str:
        """Call OrthancPluginSubmitJob of the plugin SDK."""

class OrthancException(Exception):
    """Errors that Orthanc raises."""

class Peers:
    """OrthancPluginPeers of the plugin SDK."""

    def GetPeerName(self, index: int, /) -> str:
        """Call OrthancPluginGetPeerName of the plugin SDK."""

    def GetPeerUrl(self, index: int, /) -> str:
        """Call OrthancPluginGetPeerUrl of the plugin SDK."""

    def GetPeerUserProperty(self, index: int, name: str, /) -> str | None:
        """Call OrthancPluginGetPeerUserProperty of the plugin SDK."""

    def GetPeersCount(self, /) -> int:
        """Call OrthancPluginGetPeersCount of the plugin SDK."""

class RestOutput:
    """OrthancPluginRestOutput of the plugin SDK."""

    def AnswerBuffer(self, answer: bytes | str, mime_type: str, /) -> None:
        """Call OrthancPluginAnswerBuffer of the plugin SDK."""

    def CompressAndAnswerJpegImage(
        self, pixel_format: int, width: int, height: int, pitch: int, buffer: bytes, quality: int, /
    ) -> None:
        """Call OrthancPluginCompressAndAnswerJpegImage of the plugin SDK."""

    def CompressAndAnswerPngImage(
        self, pixel_format: int, width: int, height: int, pitch: int, buffer: bytes, /
    ) -> None:
        """Call OrthancPluginCompressAndAnswerPngImage of the plugin SDK."""

    def Redirect(self, uri: str, /) -> None:
        """Call OrthancPluginRedirect of the plugin SDK."""

    def SendHttpStatus(self, status: int, body: bytes | str, /) -> None:
        """Call OrthancPluginSendHttpStatus of the plugin SDK."""

    def SendHttpStatusCode(self, status: int, /) -> None:
        """Call OrthancPluginSendHttpStatusCode of the plugin SDK."""

    def SendMethodNotAllowed(self, allowed: str, /) -> None:
        """Call OrthancPluginSendMethodNotAllowed of the plugin SDK."""

    def SendMultipartItem(self, answer: bytes | str, /) -> None:
        """Call OrthancPluginSendMultipartItem of the plugin SDK."""

    def SendUnauthorized(self, realm: str, /) -> None:
        """Call OrthancPluginSendUnauthorized of the plugin SDK."""

    def SetCookie(self, name: str, value: str, /) -> None:
        """Call OrthancPluginSetCookie of the plugin SDK."""

    def SetHttpErrorDetails(self, details: str, log: int, /) -> None:
        """Call OrthancPluginSetHttpErrorDetails of the plugin SDK."""

    def SetHttpHeader(self, name: str, value: str, /) -> None:
        """Call OrthancPluginSetHttpHeader of the plugin SDK."""

    def StartMultipartAnswer(self, subtype: str, mime_type: str, /) -> None:
        """Call OrthancPluginStartMultipartAnswer of the plugin SDK."""

class ServerChunkedRequestReader:
    """OrthancPluginServerChunkedRequestReader of the plugin SDK."""

class StorageArea:
    """OrthancPluginStorageArea of the plugin SDK."""

    def ReconstructMainDicomTags(self, level: int, /) -> None:
        """Call OrthancPluginReconstructMainDicomTags of the plugin SDK."""

    def StorageAreaCreate(self, uuid: str, content: bytes, size: int, content_type: int, /) -> None:
        """Call OrthancPluginStorageAreaCreate of the plugin SDK."""

    def StorageAreaRead(self, uuid: str, content_type: int, /) -> bytes:
        """Call OrthancPluginStorageAreaRead of the plugin SDK."""

    def StorageAreaRemove(self, uuid: str, content_type: int, /) -> None:
        """Call OrthancPluginStorageAreaRemove of the plugin SDK."""

class WorklistAnswers:
    """OrthancPluginWorklistAnswers of the plugin SDK."""

    def WorklistAddAnswer(self, query: WorklistQuery, dicom: bytes, /) -> None:
        """Call OrthancPluginWorklistAddAnswer of the plugin SDK."""

    def WorklistMarkIncomplete(self, /) -> None:
        """Call OrthancPluginWorklistMarkIncomplete of the plugin SDK."""

class WorklistQuery:
    """OrthancPluginWorklistQuery of the plugin SDK."""

    def WorklistGetDicomQuery(self, /) -> bytes:
        """Call OrthancPluginWorklistGetDicomQuery of the plugin SDK."""

    def WorklistIsMatch(self, dicom: bytes, /) -> int:
        """Call OrthancPluginWorklistIsMatch of the plugin SDK."""
