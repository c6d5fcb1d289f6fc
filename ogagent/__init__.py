"""The agent of OpenGnsys for ogLive: restores images onto partitions and tells ogCore the truth about it."""

from importlib.metadata import version

__version__ = version("ogagent")
