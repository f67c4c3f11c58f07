"""Files in other places than the disks of this machine: see `pipelines.stores.address`."""
