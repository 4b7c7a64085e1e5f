"""Other machines that an Orthanc server knows: modalities, peers, DICOMweb servers, and plugins that reach them."""
