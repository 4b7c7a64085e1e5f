"""The module ``orthanc`` of Orthanc's Python plugin, importable anywhere.

In a script that the plugin runs, all names are the plugin's own. Elsewhere they are there for completion, documentation
and type checking: constants have their values, and functions and classes raise an `UnsupportedError` when they are
called. The stubs beside this file are written by ``tools/make-orthanc-sdk`` from the module itself, version 4.0 of the
plugin on Orthanc 1.10.1.

    from simple_orthanc import orthanc_sdk as orthanc

    def on_change(change, level, resource):
        if change == orthanc.ChangeType.STABLE_SERIES:
            print(orthanc.RestApiGet(f"/series/{resource}"))

    orthanc.RegisterOnChangeCallback(on_change)
"""

from simple_orthanc.orthanc_sdk.stand_in import stand_ins

globals().update(stand_ins())
try:
    import orthanc
except ImportError:
    pass
else:
    # A package of another kind may have that name.
    if hasattr(orthanc, "RestApiGet"):
        globals().update({name: value for name, value in vars(orthanc).items() if not name.startswith("_")})
