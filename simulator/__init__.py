"""A computer room without hardware: ogCore, the image repository, and PCs whose disks are files."""

__version__ = "1.0.0"
