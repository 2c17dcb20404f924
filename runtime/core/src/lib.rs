//! Loads VCPs, runs each on its channel processor and contains its faults.
