"""Backups: every row of the database, and the files, in a folder or a bucket; and the way back.

    <target>/2026-11-23_02-00-00/manifest.json     what belongs to this backup, with checksums; written last
    <target>/2026-11-23_02-00-00/tables/*.jsonl.gz one table each, a JSON list per row
    <target>/2026-11-23_02-00-00/files.jsonl.gz    [key, size, etag, sha256] of every file
    <target>/objects/ab/abcd...                    contents of files by their SHA-256, shared by all backups

A folder without a manifest is no backup. A file that has not changed since the last backup is neither read nor copied.
"""

from .check import check_backup
from .make import BackupOptions, make_backup
from .manifest import Manifest
from .restore import RestoreOptions, restore_backup
from .target import Target, find_backup, open_target

__all__ = [
    "BackupOptions",
    "Manifest",
    "RestoreOptions",
    "Target",
    "check_backup",
    "find_backup",
    "make_backup",
    "open_target",
    "restore_backup",
]
