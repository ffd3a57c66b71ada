"""Files and folders that may not be read, for root too, to whom nothing is forbidden."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_NOBODY = 65534


@dataclass(frozen=True)
class ForbiddenFolder:
    """A folder that everybody may read.

    Attributes:
        path: Of the folder.
    """

    path: Path

    @contextmanager
    def forbidden(self, path: Path) -> Iterator[None]:
        """Take the rights to a file or folder away; root becomes nobody meanwhile."""
        is_root = os.geteuid() == 0
        mode = path.stat().st_mode
        path.chmod(0)
        if is_root:
            os.seteuid(_NOBODY)
        try:
            yield
        finally:
            if is_root:
                os.seteuid(0)
            path.chmod(mode)
