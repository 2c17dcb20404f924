//! A TCP/IP stack over batches of frames, with checksum and segmentation offload.
