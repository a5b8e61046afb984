"""Files in a bucket, by S3's API: web processes and workers need share no disk."""

import contextlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from types import SimpleNamespace
from typing import Any
from urllib.parse import urljoin

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.files.base import File
from django.utils.encoding import filepath_to_uri
from storages.backends.s3 import S3Storage
from storages.utils import clean_name

from inference.storage import unavailable

_CONNECT_S = 2
_LONGEST_KEY = 1024
"""Bytes, by S3's rules."""
_ABSENT, _TAKEN, _UNKNOWN = 404, 412, 501
"""What servers answer where there is no such file; to a write that was to make a file and would replace
one; and to a condition that they do not know."""


class ObjectStorage(S3Storage):
    """A folder of a bucket that only this site reads: its files' addresses are the site's own.

    Args:
        base_url: what these begin with; a storage without it gives none.
        timeout_s: how long one answer may take. What fails is tried twice.
    """

    def __init__(self, *, base_url: str = "", timeout_s: float = 5, **options: Any) -> None:
        self._base_url = base_url
        super().__init__(
            querystring_auth=True, default_acl=None,
            max_memory_size=settings.FILE_UPLOAD_MAX_MEMORY_SIZE,
            transfer_config=TransferConfig(use_threads=False),
            client_config=Config(
                connect_timeout=_CONNECT_S, read_timeout=timeout_s,
                retries={"total_max_attempts": 2, "mode": "standard"},
                signature_version="s3v4", max_pool_connections=32,
                # Every server knows paths; names of hosts need DNS that is made for them.
                s3={"addressing_style": "path" if options.get("endpoint_url") else "auto"},
                # Others than Amazon's do not know the newer ones.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
            **options,
        )  # fmt: skip
        # One client for all threads, as clients allow: here each request has a thread of its own.
        self._connections = SimpleNamespace()

    def version(self, name: str) -> str:
        """A text that changes with the file; one request.

        Raises:
            FileNotFoundError: there is none.
        """
        with self._declared(name):
            found = self.bucket.Object(self._key(name))
            return f"{found.last_modified.timestamp():.6f}-{found.content_length}"

    def is_public(self, name: str) -> bool:
        """Whether anybody can read a file that is there, at the bucket itself.

        Raises:
            Busy: the server did not answer.
        """
        client = self.unsigned_connection.meta.client
        try:
            client.get_object(Bucket=self.bucket_name, Key=self._key(name))
        except ClientError:
            return False
        except BotoCoreError as error:
            raise unavailable(error) from error
        return True

    def url(self, name: str, *args: Any, **kwargs: Any) -> str:
        """The file's address at this site, which asks who may have it.

        Raises:
            ValueError: it has none.
        """
        if not self._base_url:
            raise ValueError("This file is not accessible via a URL.")
        return urljoin(self._base_url, filepath_to_uri(name).lstrip("/"))

    def exists(self, name: str) -> bool:
        with contextlib.suppress(FileNotFoundError), self._declared(name):
            return bool(super().exists(name))
        return False

    def size(self, name: str) -> int:
        with self._declared(name):
            return int(super().size(name))

    def get_modified_time(self, name: str) -> Any:
        with self._declared(name):
            return super().get_modified_time(name)

    def delete(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError), self._declared(name):
            super().delete(name)

    def _open(self, name: str, mode: str = "rb") -> File:
        with self._declared(name):
            opened: File = super()._open(name, mode)
            if "r" in mode:
                opened.file  # noqa: B018  # fetched now, where what goes wrong is declared
            return opened

    def _save(self, name: str, content: Any) -> str:
        """In one request: the file is there whole or not at all, and none of its name is replaced by
        another process at the same moment."""
        cleaned = str(clean_name(name))
        condition = {} if self.file_overwrite else {"IfNoneMatch": "*"}
        try:
            self._put(cleaned, content, **condition)
        except FileExistsError:
            path = PurePosixPath(cleaned)
            other = self.get_alternative_name(path.stem, path.suffix)
            return self._save(str(path.with_name(other)), content)
        return cleaned

    def _put(self, name: str, content: Any, **condition: str) -> None:
        content.seek(0)
        parameters = self._get_write_parameters(name, content)
        with self._declared(name):
            try:
                self.bucket.meta.client.put_object(
                    Bucket=self.bucket_name, Key=self._key(name), Body=content,
                    **parameters, **condition,
                )  # fmt: skip
            except ClientError as error:
                if _status(error) != _UNKNOWN or not condition:
                    raise
                self._put(name, content)

    def _key(self, name: str) -> str:
        return str(self._normalize_name(clean_name(name)))

    @contextlib.contextmanager
    def _declared(self, name: str) -> Iterator[None]:
        """
        Raises:
            FileNotFoundError: there is no such file.
            FileExistsError: there is, and the write was to make it.
            Busy: the bucket cannot be used.
        """
        if len(self._key(name).encode()) > _LONGEST_KEY:
            raise FileNotFoundError(name)
        try:
            yield
        except ClientError as error:
            if _status(error) == _ABSENT:
                raise FileNotFoundError(name) from error
            if _status(error) == _TAKEN:
                raise FileExistsError(name) from error
            raise unavailable(error) from error
        except (BotoCoreError, Boto3Error) as error:
            raise unavailable(error) from error


def _status(error: ClientError) -> int:
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
