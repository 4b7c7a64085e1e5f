"""From the bytes of one object to the values of its frames: decoding, colour, rescaling, SUV."""
