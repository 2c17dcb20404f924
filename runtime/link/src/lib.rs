//! Links that carry Ethernet frames: TAP, packet socket, in-memory pipe.
