Files named *.toml here belong to /etc/vcp/host.toml.
