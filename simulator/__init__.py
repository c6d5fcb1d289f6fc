"""A computer room without hardware: ogCore, the image repository, and PCs whose disks are files."""

from importlib.metadata import version

__version__ = version("ogagent")
