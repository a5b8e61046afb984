"""What comes in as an image, and what is made of it."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference import images
from inference.errors import Busy, DomainError, InvalidInput, TooLarge, Unsupported
from tests.images import data_url, encode, plain


def _pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def _png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "kind", "code"),
    [
        pytest.param(b"", InvalidInput, "empty_image", id="empty"),
        pytest.param(b"hello, I am a text", Unsupported, "unsupported_image", id="text"),
        pytest.param(b"%PDF-1.7\n", Unsupported, "unsupported_image", id="pdf"),
        pytest.param(b"<svg xmlns='x'/>", Unsupported, "unsupported_image", id="svg"),
        pytest.param(b"\n <?xml version='1.0'?><svg/>", Unsupported, "unsupported_image", id="svg-xml"),
        pytest.param(plain()[:-200], InvalidInput, "broken_image", id="truncated-png"),
        pytest.param(
            encode(Image.effect_noise((200, 200), 60).convert("RGB"), "JPEG")[:2000],
            InvalidInput, "broken_image", id="truncated-jpeg",
        ),
        pytest.param(_png_header(50_000, 50_000), TooLarge, "too_many_pixels", id="bomb"),
        pytest.param(_png_header(20_000, 10), InvalidInput, "image_shape", id="20000x10"),
        pytest.param(bytes(50 * 1024 * 1024), TooLarge, "image_too_large", id="50MB"),
    ],
)  # fmt: skip
def test_refused(data: bytes, kind: type[DomainError], code: str) -> None:
    with pytest.raises(kind) as caught:
        images.normalise(data)
    assert caught.value.code == code
    assert caught.value.hint


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", explode)
    with pytest.raises(TooLarge):
        images.normalise(_png_header(9000, 9000))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"])
def test_every_accepted_format_becomes_rgb(kind: str) -> None:
    colour = (200, 60, 40)
    normal = images.normalise(encode(Image.new("RGB", (40, 30), colour), kind))
    assert (normal.width, normal.height) == (40, 30)
    assert np.abs(_pixels(normal.data).mean((0, 1)) - colour).max() < 12


def test_one_pixel() -> None:
    normal = images.normalise(encode(Image.new("RGB", (1, 1), (1, 2, 3))))
    assert (normal.width, normal.height) == (1, 1)


def test_cmyk() -> None:
    normal = images.normalise(encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"))
    red, green, blue = _pixels(normal.data).mean((0, 1))
    assert red > 180 > 90 > max(green, blue)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16)[None].repeat(8, 0)
    normal = images.normalise(encode(Image.fromarray(ramp)))
    assert np.abs(_pixels(normal.data)[0, :, 0] - np.linspace(0, 255, 64)).max() <= 2


def test_transparency_lies_on_white() -> None:
    normal = images.normalise(encode(Image.new("RGBA", (8, 8), (0, 0, 0, 0))))
    assert _pixels(normal.data).min() == 255


def test_palette_with_transparency() -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    normal = images.normalise(encode(image, "PNG", transparency=0))
    assert _pixels(normal.data).min() == 255


def test_an_animation_shows_its_first_frame() -> None:
    frames = [Image.new("RGB", (12, 12), c) for c in ((250, 0, 0), (0, 250, 0))]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert _pixels(images.normalise(data).data)[0, 0, 0] > 200


def test_exif_rotation_is_applied_and_metadata_dropped() -> None:
    image = Image.new("RGB", (60, 20), (0, 0, 250))
    image.paste((250, 0, 0), (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise
    exif[0x010F] = "a camera's maker"
    normal = images.normalise(encode(image, "JPEG", exif=exif, quality=95))
    assert (normal.width, normal.height) == (20, 60)
    assert _pixels(normal.data)[5, 10, 0] > 200, "the red end is on top"
    assert b"camera" not in normal.data


def test_large_images_are_reduced() -> None:
    normal = images.normalise(encode(Image.new("RGB", (5000, 2500)), "JPEG"))
    assert (normal.width, normal.height) == (2048, 1024)


def test_the_same_picture_has_one_name() -> None:
    data = plain()
    assert images.normalise(data).sha256 == images.normalise(data).sha256


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, settings, monkeypatch) -> None:
    settings.IMAGE_STORE_DIR = tmp_path

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    normal = images.normalise(plain())
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(Busy) as caught:
        images.write(normal, "aa/x.png")
    assert (caught.value.code, caught.value.status) == ("storage_unavailable", 503)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://example.org/a.png", "remote_image"),
        ("file:///etc/passwd", "bad_image_url"),
        ("", "bad_image_url"),
        ("data:image/png,plain", "bad_image_url"),
        ("data:image/png;base64,***", "bad_image_url"),
        ("data:image/png;base64,AAAAA", "bad_image_url"),
    ],
)
def test_broken_urls(url: str, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        images.data_url_bytes(url)
    assert caught.value.code == code


def test_a_data_url_is_bounded_before_it_is_decoded(settings, monkeypatch) -> None:
    settings.INFERENCE_MAX_IMAGE_BYTES = 1000
    monkeypatch.setattr("base64.b64decode", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(TooLarge):
        images.data_url_bytes("data:image/png;base64," + "A" * 4000)


def test_the_declared_type_is_not_believed() -> None:
    data = plain()
    assert images.data_url_bytes(data_url(data, "image/jpeg")) == data
