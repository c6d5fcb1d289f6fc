"""A computer room without hardware: ogCore, the image repository, and PCs whose disks are files."""
