"""The agent of OpenGnsys for ogLive: restores images onto partitions and tells ogCore the truth about it."""

__version__ = "1.0.0"
