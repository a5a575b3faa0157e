"""Uploading folders."""

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from .transport import Transport

if TYPE_CHECKING:
    from ..push import Summary


class UploadCalls(Transport):
    """Many pictures at once."""

    def upload_folder(
        self, folder: str | Path | Iterable[str | Path], *, jobs: int = 4, progress: bool | None = None
    ) -> "Summary":
        """Upload the pictures below a folder, or several, that the server does not have, in parallel.

        Run it again after a break: what is there is skipped, and nothing on either side is ever replaced.

        Args:
            progress: show a bar; None: where there is a terminal.

        Returns:
            Counts, and `failures`: the files that could not be uploaded, with reasons.
        """
        from tqdm import tqdm

        from ..push import push  # which is built on this client

        folders = [folder] if isinstance(folder, (str, Path)) else list(folder)
        stop = threading.Event()
        with tqdm(unit="file", disable=None if progress is None else not progress) as bar:
            summary = push(
                self, [Path(each) for each in folders], jobs=jobs, stop=stop, report=lambda _outcome: bar.update()
            )
        if summary.interrupted:
            raise KeyboardInterrupt
        return summary
