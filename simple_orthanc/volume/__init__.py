"""Which slices form a volume, where they lie in the patient, and the volume itself. No I/O."""
