"""Run the scheduler or a server of MXNet's parameter servers: `python -m resattnet.launcher.server`.

The environment variable `DMLC_ROLE` says which. MXNet does this within its import, and ends the process when all
workers have left.
"""

from ..machine.mxnet import mx

__all__ = ["mx"]
