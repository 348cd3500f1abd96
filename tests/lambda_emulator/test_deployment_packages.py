"""Zips: unpacked as they are, and refused where they are none, are too large, or reach beyond their directory."""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
from typing import TYPE_CHECKING

import pytest

from engine.lambda_emulator.deployment_packages import (
    BadPackage,
    EmptyPackage,
    PackageTooLarge,
    _extract,
    digest_of,
    shown_digest,
    unpack,
)
from tests.lambda_emulator.packages import zipped

if TYPE_CHECKING:
    from pathlib import Path

ENOUGH = 1 << 20


def entry(name: str, mode: int = stat.S_IFREG | 0o644, system: int = 3) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.create_system = system
    made.external_attr = mode << 16
    return made


def packed(*entries: tuple[zipfile.ZipInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for one, content in entries:
            archive.writestr(one, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def test_files_are_written_with_their_directories_and_counted(tmp_path: Path):
    assert unpack(zipped({"app.py": "x = 1", "lib/deep/a.txt": "abc", "empty/": ""}), tmp_path, bytes_max=8) == 8
    assert (tmp_path / "app.py").read_text() == "x = 1"
    assert (tmp_path / "lib/deep/a.txt").read_text() == "abc"
    assert (tmp_path / "empty").is_dir()


def test_what_can_be_run_stays_so_and_all_may_read(tmp_path: Path):
    package = packed(
        (entry("bootstrap", stat.S_IFREG | 0o700), b""),
        (entry("secret", stat.S_IFREG | 0o600), b""),
        (entry("suid", stat.S_IFREG | 0o4777), b""),
        (entry("of_windows", 0, system=0), b""),
    )
    unpack(package, tmp_path, bytes_max=ENOUGH)
    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in tmp_path.iterdir()}
    assert modes == {"bootstrap": 0o744, "secret": 0o644, "suid": 0o755, "of_windows": 0o755}


def test_bytes_are_allowed_up_to_the_limit(tmp_path: Path):
    package = zipped({"a": b"1" * 600, "b": b"2" * 400})
    for limit in (1_000, 999):
        (tmp_path / str(limit)).mkdir()
    assert unpack(package, tmp_path / "1000", bytes_max=1_000) == 1_000
    with pytest.raises(PackageTooLarge):
        unpack(package, tmp_path / "999", bytes_max=999)
    assert list((tmp_path / "999").iterdir()) == []


def test_a_zip_that_says_less_than_it_has_is_stopped(tmp_path: Path):
    package = bytearray(zipped({"bomb": b"\0" * 100_000}))
    told = struct.pack("<I", 100_000)
    assert package.count(told) == 2
    with pytest.raises((BadPackage, PackageTooLarge)):
        unpack(bytes(package.replace(told, struct.pack("<I", 10))), tmp_path, bytes_max=1_000)
    assert sum(one.stat().st_size for one in tmp_path.rglob("*")) <= 1_000


def test_bytes_are_counted_again_while_they_are_read(tmp_path: Path):
    package = io.BytesIO(zipped({"bomb": b"\0" * 3_000_000}))
    with zipfile.ZipFile(package) as archive, pytest.raises(PackageTooLarge):
        _extract(archive, archive.infolist()[0], tmp_path / "bomb", 2_000_000)
    assert (tmp_path / "bomb").stat().st_size <= 2_000_000


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/etc/out", "a\\..\\out", "..", "a/.."])
def test_no_name_leads_out_of_the_directory(tmp_path: Path, name: str):
    inside = tmp_path / "inside"
    inside.mkdir()
    with pytest.raises(BadPackage):
        unpack(packed((entry(name), b"x")), inside, bytes_max=ENOUGH)
    assert list(tmp_path.iterdir()) == [inside]
    assert list(inside.iterdir()) == []


def test_a_link_within_the_package_is_kept(tmp_path: Path):
    package = zipped(
        {"lib/a.so.1": "1", "lib/b/c": ""}, links={"lib/a.so": "a.so.1", "lib/b/up": "../a.so", "bin": "lib"}
    )
    unpack(package, tmp_path, bytes_max=ENOUGH)
    assert (tmp_path / "lib/a.so").read_text() == (tmp_path / "lib/b/up").read_text() == "1"
    assert os.readlink(tmp_path / "bin") == "lib"


@pytest.mark.parametrize(
    "links",
    [
        {"a": "/etc/passwd"},
        {"a": "../out"},
        {"d/a": "../../out"},
        # Each step looks as if it stayed inside.
        {"x/y/z": "../..", "b": "x/y/z/../out"},
        {"a": "b", "b": "../out"},
    ],
)
def test_a_link_that_leads_out_is_refused(tmp_path: Path, links: dict[str, str]):
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "out").write_text("secret")
    with pytest.raises(BadPackage, match="leads out"):
        unpack(zipped({"f": ""}, links=links), inside, bytes_max=ENOUGH)


def test_nothing_is_written_through_a_link(tmp_path: Path):
    inside, outside = tmp_path / "inside", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    link = entry("d", stat.S_IFLNK | 0o777)
    with pytest.raises(BadPackage):
        unpack(packed((link, b"../out"), (entry("d/f"), b"x")), inside, bytes_max=ENOUGH)
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    "package",
    [
        b"",
        b"not a zip",
        zipped({"a": "x" * 1_000})[:-30],
        packed((entry("pipe", stat.S_IFIFO), b"")),
        packed((entry("a"), b"file"), (entry("a/b"), b"below it")),
        zipped({"a": "1"}).replace(b"\x08\x00", b"\x63\x00"),
    ],
    ids=["nothing", "text", "cut off", "a pipe", "a file as a directory", "an unknown compression"],
)
def test_what_cannot_be_unpacked_is_bad(tmp_path: Path, package: bytes):
    with pytest.raises(BadPackage):
        unpack(package, tmp_path, bytes_max=ENOUGH)


def test_an_encrypted_file_is_bad(tmp_path: Path):
    package = bytearray(zipped({"a": "1"}))
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        package[package.index(signature) + place] |= 1
    with pytest.raises(BadPackage, match="encrypted"):
        unpack(bytes(package), tmp_path, bytes_max=ENOUGH)


def test_a_damaged_file_is_bad(tmp_path: Path):
    package = bytearray(packed((entry("a"), os.urandom(5_000))))
    package[2_000] ^= 0xFF
    with pytest.raises(BadPackage):
        unpack(bytes(package), tmp_path, bytes_max=ENOUGH)


def test_a_zip_without_files_is_empty(tmp_path: Path):
    with pytest.raises(EmptyPackage):
        unpack(zipped({}), tmp_path, bytes_max=ENOUGH)


def test_a_digest_is_shown_as_lambda_shows_it():
    # sha256sum of nothing, and the same as `openssl dgst -binary | base64` tells it.
    assert digest_of(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert shown_digest(digest_of(b"")) == "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
