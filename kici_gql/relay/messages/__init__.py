"""The frames of the protocol: read leniently in the one direction, built strictly in the other. No I/O."""
