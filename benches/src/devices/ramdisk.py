# A RAM disk as a plugin of nbdkit in Python, of the shape of the ramdisk VCP: one flat
# piece of memory, and one request at a time.

import nbdkit

API_VERSION = 2

disk = bytearray()


def thread_model():
    return nbdkit.THREAD_MODEL_SERIALIZE_ALL_REQUESTS


def config(key, value):
    global disk
    if key != "size":
        raise RuntimeError("a RAM disk has: size")
    disk = bytearray(nbdkit.parse_size(value))


def open(readonly):
    return 1


def get_size(handle):
    return len(disk)


def pread(handle, data, offset, flags):
    data[:] = memoryview(disk)[offset : offset + len(data)]


def pwrite(handle, data, offset, flags):
    disk[offset : offset + len(data)] = data
