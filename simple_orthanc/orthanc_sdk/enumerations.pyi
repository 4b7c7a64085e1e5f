"""The enumerations of the plugin's module; each value is an integer."""

from typing import Final

class ChangeType:
    """OrthancPluginChangeType of the plugin SDK."""

    COMPLETED_SERIES: Final = 0
    DELETED: Final = 1
    NEW_CHILD_INSTANCE: Final = 2
    NEW_INSTANCE: Final = 3
    NEW_PATIENT: Final = 4
    NEW_SERIES: Final = 5
    NEW_STUDY: Final = 6
    STABLE_PATIENT: Final = 7
    STABLE_SERIES: Final = 8
    STABLE_STUDY: Final = 9
    ORTHANC_STARTED: Final = 10
    ORTHANC_STOPPED: Final = 11
    UPDATED_ATTACHMENT: Final = 12
    UPDATED_METADATA: Final = 13
    UPDATED_PEERS: Final = 14
    UPDATED_MODALITIES: Final = 15
    JOB_SUBMITTED: Final = 16
    JOB_SUCCESS: Final = 17
    JOB_FAILURE: Final = 18

class CompressionType:
    """OrthancPluginCompressionType of the plugin SDK."""

    ZLIB: Final = 0
    ZLIB_WITH_SIZE: Final = 1
    GZIP: Final = 2
    GZIP_WITH_SIZE: Final = 3

class ConstraintType:
    """OrthancPluginConstraintType of the plugin SDK."""

    EQUAL: Final = 1
    SMALLER_OR_EQUAL: Final = 2
    GREATER_OR_EQUAL: Final = 3
    WILDCARD: Final = 4
    LIST: Final = 5

class ContentType:
    """OrthancPluginContentType of the plugin SDK."""

    UNKNOWN: Final = 0
    DICOM: Final = 1
    DICOM_AS_JSON: Final = 2
    DICOM_UNTIL_PIXEL_DATA: Final = 3

class CreateDicomFlags:
    """OrthancPluginCreateDicomFlags of the plugin SDK."""

    NONE: Final = 0
    DECODE_DATA_URI_SCHEME: Final = 1
    GENERATE_IDENTIFIERS: Final = 2

class DicomToJsonFlags:
    """OrthancPluginDicomToJsonFlags of the plugin SDK."""

    NONE: Final = 0
    INCLUDE_BINARY: Final = 1
    INCLUDE_PRIVATE_TAGS: Final = 2
    INCLUDE_UNKNOWN_TAGS: Final = 4
    INCLUDE_PIXEL_DATA: Final = 8
    CONVERT_BINARY_TO_ASCII: Final = 16
    CONVERT_BINARY_TO_NULL: Final = 32
    STOP_AFTER_PIXEL_DATA: Final = 64
    SKIP_GROUP_LENGTHS: Final = 128

class DicomToJsonFormat:
    """OrthancPluginDicomToJsonFormat of the plugin SDK."""

    FULL: Final = 1
    SHORT: Final = 2
    HUMAN: Final = 3

class DicomWebBinaryMode:
    """OrthancPluginDicomWebBinaryMode of the plugin SDK."""

    IGNORE: Final = 0
    INLINE_BINARY: Final = 1
    BULK_DATA_URI: Final = 2

class ErrorCode:
    """OrthancPluginErrorCode of the plugin SDK."""

    INTERNAL_ERROR: Final = -1
    SUCCESS: Final = 0
    PLUGIN: Final = 1
    NOT_IMPLEMENTED: Final = 2
    PARAMETER_OUT_OF_RANGE: Final = 3
    NOT_ENOUGH_MEMORY: Final = 4
    BAD_PARAMETER_TYPE: Final = 5
    BAD_SEQUENCE_OF_CALLS: Final = 6
    INEXISTENT_ITEM: Final = 7
    BAD_REQUEST: Final = 8
    NETWORK_PROTOCOL: Final = 9
    SYSTEM_COMMAND: Final = 10
    DATABASE: Final = 11
    URI_SYNTAX: Final = 12
    INEXISTENT_FILE: Final = 13
    CANNOT_WRITE_FILE: Final = 14
    BAD_FILE_FORMAT: Final = 15
    TIMEOUT: Final = 16
    UNKNOWN_RESOURCE: Final = 17
    INCOMPATIBLE_DATABASE_VERSION: Final = 18
    FULL_STORAGE: Final = 19
    CORRUPTED_FILE: Final = 20
    INEXISTENT_TAG: Final = 21
    READ_ONLY: Final = 22
    INCOMPATIBLE_IMAGE_FORMAT: Final = 23
    INCOMPATIBLE_IMAGE_SIZE: Final = 24
    SHARED_LIBRARY: Final = 25
    UNKNOWN_PLUGIN_SERVICE: Final = 26
    UNKNOWN_DICOM_TAG: Final = 27
    BAD_JSON: Final = 28
    UNAUTHORIZED: Final = 29
    BAD_FONT: Final = 30
    DATABASE_PLUGIN: Final = 31
    STORAGE_AREA_PLUGIN: Final = 32
    EMPTY_REQUEST: Final = 33
    NOT_ACCEPTABLE: Final = 34
    NULL_POINTER: Final = 35
    DATABASE_UNAVAILABLE: Final = 36
    CANCELED_JOB: Final = 37
    BAD_GEOMETRY: Final = 38
    SSL_INITIALIZATION: Final = 39
    DISCONTINUED_ABI: Final = 40
    BAD_RANGE: Final = 41
    DATABASE_CANNOT_SERIALIZE: Final = 42
    REVISION: Final = 43
    SQLITE_NOT_OPENED: Final = 1000
    SQLITE_ALREADY_OPENED: Final = 1001
    SQLITE_CANNOT_OPEN: Final = 1002
    SQLITE_STATEMENT_ALREADY_USED: Final = 1003
    SQLITE_EXECUTE: Final = 1004
    SQLITE_ROLLBACK_WITHOUT_TRANSACTION: Final = 1005
    SQLITE_COMMIT_WITHOUT_TRANSACTION: Final = 1006
    SQLITE_REGISTER_FUNCTION: Final = 1007
    SQLITE_FLUSH: Final = 1008
    SQLITE_CANNOT_RUN: Final = 1009
    SQLITE_CANNOT_STEP: Final = 1010
    SQLITE_BIND_OUT_OF_RANGE: Final = 1011
    SQLITE_PREPARE_STATEMENT: Final = 1012
    SQLITE_TRANSACTION_ALREADY_STARTED: Final = 1013
    SQLITE_TRANSACTION_COMMIT: Final = 1014
    SQLITE_TRANSACTION_BEGIN: Final = 1015
    DIRECTORY_OVER_FILE: Final = 2000
    FILE_STORAGE_CANNOT_WRITE: Final = 2001
    DIRECTORY_EXPECTED: Final = 2002
    HTTP_PORT_IN_USE: Final = 2003
    DICOM_PORT_IN_USE: Final = 2004
    BAD_HTTP_STATUS_IN_REST: Final = 2005
    REGULAR_FILE_EXPECTED: Final = 2006
    PATH_TO_EXECUTABLE: Final = 2007
    MAKE_DIRECTORY: Final = 2008
    BAD_APPLICATION_ENTITY_TITLE: Final = 2009
    NO_CFIND_HANDLER: Final = 2010
    NO_CMOVE_HANDLER: Final = 2011
    NO_CSTORE_HANDLER: Final = 2012
    NO_APPLICATION_ENTITY_FILTER: Final = 2013
    NO_SOP_CLASS_OR_INSTANCE: Final = 2014
    NO_PRESENTATION_CONTEXT: Final = 2015
    DICOM_FIND_UNAVAILABLE: Final = 2016
    DICOM_MOVE_UNAVAILABLE: Final = 2017
    CANNOT_STORE_INSTANCE: Final = 2018
    CREATE_DICOM_NOT_STRING: Final = 2019
    CREATE_DICOM_OVERRIDE_TAG: Final = 2020
    CREATE_DICOM_USE_CONTENT: Final = 2021
    CREATE_DICOM_NO_PAYLOAD: Final = 2022
    CREATE_DICOM_USE_DATA_URI_SCHEME: Final = 2023
    CREATE_DICOM_BAD_PARENT: Final = 2024
    CREATE_DICOM_PARENT_IS_INSTANCE: Final = 2025
    CREATE_DICOM_PARENT_ENCODING: Final = 2026
    UNKNOWN_MODALITY: Final = 2027
    BAD_JOB_ORDERING: Final = 2028
    JSON_TO_LUA_TABLE: Final = 2029
    CANNOT_CREATE_LUA: Final = 2030
    CANNOT_EXECUTE_LUA: Final = 2031
    LUA_ALREADY_EXECUTED: Final = 2032
    LUA_BAD_OUTPUT: Final = 2033
    NOT_LUA_PREDICATE: Final = 2034
    LUA_RETURNS_NO_STRING: Final = 2035
    STORAGE_AREA_ALREADY_REGISTERED: Final = 2036
    DATABASE_BACKEND_ALREADY_REGISTERED: Final = 2037
    DATABASE_NOT_INITIALIZED: Final = 2038
    SSL_DISABLED: Final = 2039
    CANNOT_ORDER_SLICES: Final = 2040
    NO_WORKLIST_HANDLER: Final = 2041
    ALREADY_EXISTING_TAG: Final = 2042
    NO_STORAGE_COMMITMENT_HANDLER: Final = 2043
    NO_CGET_HANDLER: Final = 2044
    UNSUPPORTED_MEDIA_TYPE: Final = 3000

class HttpMethod:
    """OrthancPluginHttpMethod of the plugin SDK."""

    GET: Final = 1
    POST: Final = 2
    PUT: Final = 3
    DELETE: Final = 4

class IdentifierConstraint:
    """OrthancPluginIdentifierConstraint of the plugin SDK."""

    EQUAL: Final = 1
    SMALLER_OR_EQUAL: Final = 2
    GREATER_OR_EQUAL: Final = 3
    WILDCARD: Final = 4

class ImageFormat:
    """OrthancPluginImageFormat of the plugin SDK."""

    PNG: Final = 0
    JPEG: Final = 1
    DICOM: Final = 2

class InstanceOrigin:
    """OrthancPluginInstanceOrigin of the plugin SDK."""

    UNKNOWN: Final = 1
    DICOM_PROTOCOL: Final = 2
    REST_API: Final = 3
    PLUGIN: Final = 4
    LUA: Final = 5
    WEB_DAV: Final = 6

class JobStepStatus:
    """OrthancPluginJobStepStatus of the plugin SDK."""

    SUCCESS: Final = 1
    FAILURE: Final = 2
    CONTINUE: Final = 3

class JobStopReason:
    """OrthancPluginJobStopReason of the plugin SDK."""

    SUCCESS: Final = 1
    PAUSED: Final = 2
    FAILURE: Final = 3
    CANCELED: Final = 4

class MetricsType:
    """OrthancPluginMetricsType of the plugin SDK."""

    DEFAULT: Final = 0
    TIMER: Final = 1

class PixelFormat:
    """OrthancPluginPixelFormat of the plugin SDK."""

    GRAYSCALE8: Final = 1
    GRAYSCALE16: Final = 2
    SIGNED_GRAYSCALE16: Final = 3
    RGB24: Final = 4
    RGBA32: Final = 5
    UNKNOWN: Final = 6
    RGB48: Final = 7
    GRAYSCALE32: Final = 8
    FLOAT32: Final = 9
    BGRA32: Final = 10
    GRAYSCALE64: Final = 11

class ReceivedInstanceAction:
    """OrthancPluginReceivedInstanceAction of the plugin SDK."""

    KEEP_AS_IS: Final = 1
    MODIFY: Final = 2
    DISCARD: Final = 3

class ResourceType:
    """OrthancPluginResourceType of the plugin SDK."""

    PATIENT: Final = 0
    STUDY: Final = 1
    SERIES: Final = 2
    INSTANCE: Final = 3
    NONE: Final = 4

class StorageCommitmentFailureReason:
    """OrthancPluginStorageCommitmentFailureReason of the plugin SDK."""

    SUCCESS: Final = 0
    PROCESSING_FAILURE: Final = 1
    NO_SUCH_OBJECT_INSTANCE: Final = 2
    RESOURCE_LIMITATION: Final = 3
    REFERENCED_SOPCLASS_NOT_SUPPORTED: Final = 4
    CLASS_INSTANCE_CONFLICT: Final = 5
    DUPLICATE_TRANSACTION_UID: Final = 6

class ValueRepresentation:
    """OrthancPluginValueRepresentation of the plugin SDK."""

    AE: Final = 1
    AS: Final = 2
    AT: Final = 3
    CS: Final = 4
    DA: Final = 5
    DS: Final = 6
    DT: Final = 7
    FD: Final = 8
    FL: Final = 9
    IS: Final = 10
    LO: Final = 11
    LT: Final = 12
    OB: Final = 13
    OF: Final = 14
    OW: Final = 15
    PN: Final = 16
    SH: Final = 17
    SL: Final = 18
    SQ: Final = 19
    SS: Final = 20
    ST: Final = 21
    TM: Final = 22
    UI: Final = 23
    UL: Final = 24
    UN: Final = 25
    US: Final = 26
    UT: Final = 27
