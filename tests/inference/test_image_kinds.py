"""Kinds of pictures that science and phones make: deep samples, profiles, 48 megapixels."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps

from inference import image_pool, images
from inference.errors import DomainError
from tests import bombs, heic, profiles
from tests.images import encode

pytestmark = pytest.mark.django_db  # who waits for a decoder gives its connection back
RAMP = np.linspace(0, 1, 64)[None].repeat(8, 0)
EIGHT = np.rint(RAMP * 255)


@pytest.fixture(autouse=True, scope="module")
def _fresh() -> Iterator[None]:
    image_pool._pool.cache_clear()
    yield
    image_pool._pool.cache_clear()


@pytest.fixture
def small_pool(settings) -> Iterator[None]:
    """Decoders with memory for an eighth of what is usual."""
    settings.INFERENCE_DECODER_MEMORY_MB = 128
    image_pool._pool.cache_clear()
    yield
    image_pool._pool.cache_clear()


def read(data: bytes) -> np.ndarray:
    """What is stored of a file, as height × width × RGB."""
    normal = images.normalise(data)
    pixels = np.asarray(Image.open(io.BytesIO(normal.data)))
    assert pixels.shape == (normal.height, normal.width, 3)
    return pixels.astype(int)


def told(data: bytes) -> str:
    try:
        images.normalise(data)
    except DomainError as error:
        return error.code
    return ""


def tiff(samples: np.ndarray, **options: Any) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, samples, **options)
    return out.getvalue()


def is_close(found: np.ndarray, wanted: np.ndarray, by: float = 1.5) -> bool:
    wanted = wanted[..., None] if wanted.ndim == 2 else wanted
    return float(np.abs(found - wanted).max()) <= by


# Depth


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_the_bits_that_are_used_are_the_scale(bits: int, order: str) -> None:
    values = np.rint(RAMP * (2**bits - 1))
    for kind in ("u2", "i4", "f4", *(["i2"] if bits < 16 else [])):
        assert is_close(read(tiff(values.astype(kind), byteorder=order)), EIGHT), kind


def test_twelve_bits_in_sixteen_alike_in_every_file() -> None:
    values = (RAMP * 3000).astype(np.uint16)
    wanted = values / 4095 * 255
    picture = Image.fromarray(values)
    for data in (
        encode(picture), encode(picture, "TIFF"), encode(picture, "TIFF", compression="tiff_lzw"),
        tiff(values, byteorder=">", compression="zlib", predictor=True), tiff(values, tile=(16, 16)),
    ):  # fmt: skip
        assert is_close(read(data), wanted)


def test_wide_whole_numbers() -> None:
    assert is_close(read(tiff((RAMP * (2**32 - 1)).astype(np.uint32), byteorder=">")), EIGHT)
    assert is_close(read(tiff((RAMP * (2**20 - 1)).astype(np.int32))), EIGHT)


def test_hounsfield_units_go_from_the_lowest_to_the_highest() -> None:
    assert is_close(read(tiff((RAMP * 4000 - 1000).astype(np.int16))), EIGHT)


@pytest.mark.parametrize("kind", ["u2", "f4"])
def test_white_is_zero(kind: str) -> None:
    values = np.rint(RAMP * 4095).astype(kind)
    assert is_close(read(tiff(values, photometric="miniswhite")), 255 - EIGHT)


@pytest.mark.parametrize("kind", ["<f2", "<f4", ">f4", ">f8"])
@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 0.7), (-3.5, 9.25), (0, 900.5), (0, 0.001)])
def test_fractions(kind: str, low: float, high: float) -> None:
    values = low + RAMP * (high - low)
    wanted = values * 255 if low >= 0 and high <= 1 else EIGHT
    assert is_close(read(tiff(values.astype(kind[1:]), byteorder=kind[0])), wanted, 2)


def test_what_is_no_number_is_black_and_infinite_is_an_end() -> None:
    values = RAMP.astype(np.float32)
    values[0, :3], values[1, :3], values[2, :3] = np.nan, np.inf, -np.inf
    found = read(tiff(values))
    assert found[0, :3].max() == 0
    assert found[1, :3].min() == 255
    assert found[2, :3].max() == 0
    assert is_close(found[3:], EIGHT[3:])
    assert read(tiff(np.full((9, 9), np.nan, np.float32))).max() == 0


def test_one_lamp_does_not_make_the_rest_black() -> None:
    values = (RAMP * 0.9).astype(np.float32)
    values[0, 0] = 3e38
    assert is_close(read(tiff(values))[1:], EIGHT[1:] * 0.9)
    values[0, 1] = -3e38
    assert is_close(read(tiff(values))[1:], EIGHT[1:] * 0.9)


def test_few_that_differ_from_all_others_are_seen() -> None:
    values = np.full((100, 100), 2.5, np.float32)
    values[50, 50] = 7.5
    assert read(tiff(values))[50, 50].min() == 255
    assert read(tiff(values))[0].max() < 100


def test_a_mask_of_zero_and_one() -> None:
    values = (RAMP > 0.5).astype(np.float32)
    assert is_close(read(tiff(values)), values * 255, 0)


def test_what_a_map_declares_as_no_data() -> None:
    values = np.where(RAMP < 0.5, -9999, RAMP * 500).astype(np.float32)
    found = read(tiff(values, extratags=[(42113, 2, 0, "-9999", True)]))
    assert is_close(found[:, 32:], EIGHT[:, 32:], 2)
    assert found[:, :32].max() == 0


@pytest.mark.parametrize(
    "options", [{}, {"planarconfig": "separate"}, {"tile": (16, 16), "compression": "zlib"}]
)
@pytest.mark.parametrize("kind", ["u2", "f4"])
def test_deep_colours_share_one_scale(kind: str, options: dict[str, Any]) -> None:
    high = 4095 if kind == "u2" else 1
    colours = np.stack([RAMP, RAMP * 0.5, RAMP * 0], -1)
    samples = (colours * high).astype(kind)
    if options.get("planarconfig"):
        samples = samples.transpose(2, 0, 1)
    assert is_close(read(tiff(samples, photometric="rgb", **options)), colours * 255)


def test_deep_colours_that_are_clear_lie_on_white() -> None:
    samples = np.full((8, 8, 4), 65535, np.uint16)
    samples[..., :3] = 20000
    samples[:4, :, 3] = 0
    found = read(tiff(samples, photometric="rgb", extrasamples=["unassalpha"]))
    assert found[:4].min() == 255
    assert is_close(found[4:], np.full((4, 8), 20000 / 257))


def test_a_deep_tiff_is_put_upright() -> None:
    turned = read(tiff((RAMP * 65535).astype(np.uint16), extratags=[(274, 3, 1, 6, True)]))
    assert turned.shape == (64, 8, 3)
    assert is_close(turned, EIGHT.T)


def test_of_several_pages_the_first() -> None:
    pages = np.stack([RAMP * 4095, np.zeros((8, 64))]).astype(np.uint16)
    assert is_close(read(tiff(pages, photometric="minisblack")), EIGHT)
    shallow = [Image.new("RGB", (12, 9), colour) for colour in ("red", "blue")]
    data = encode(shallow[0], "TIFF", save_all=True, append_images=shallow[1:])
    assert read(data)[0, 0].tolist() == [255, 0, 0]


def test_a_deep_tiff_that_is_cut_or_lies_is_refused() -> None:
    data = tiff((RAMP * 4095).astype(np.uint16))
    assert told(data[: len(data) - 300]) == "broken_image"
    # Sound, but no picture.
    assert told(tiff(np.zeros((8, 8), np.complex64))) == "unsupported_image"


@pytest.mark.usefixtures("small_pool")
def test_a_deep_tiff_that_unpacks_to_too_much_is_refused() -> None:
    for options in ({}, {"rowsperstrip": 4000}):
        data = tiff(np.zeros((4000, 4000), np.float64), compression="zlib", **options)
        assert told(data) == "image_too_costly"


@pytest.mark.parametrize("bits", [8, 12, 14, 15, 16])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_a_png_of_deep_colours_has_the_scale_of_its_bits(mode: str, bits: int) -> None:
    top = 2**bits - 1
    grey = np.rint(RAMP * top)
    colours = [grey, grey[:, ::-1], np.full_like(grey, top // 2)][: 1 if mode == "LA" else 3]
    opacity = [np.full_like(grey, 65535)] if mode.endswith("A") else []
    if opacity:
        opacity[0][0] = 0
    found = read(bombs.png_of(np.stack([*colours, *opacity], -1).astype(np.uint16)))
    scale = top if bits != 15 else 65535  # the next depth that holds it
    wanted = np.stack(colours, -1) / scale * 255
    if opacity:
        assert found[0].min() == 255
        found, wanted = found[1:], wanted[1:]
    assert is_close(found, np.broadcast_to(wanted, found.shape))


# Colours


def test_a_wide_gamut_becomes_srgb() -> None:
    colour = (40, 200, 90)
    wanted = profiles.to_srgb(colour)
    assert np.abs(wanted - colour).max() > 20
    picture = Image.new("RGB", (16, 16), colour)
    for kind in ("PNG", "TIFF", "WEBP", "JPEG", "AVIF", "HEIF"):
        more = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind != "PNG" else {}
        found = read(encode(picture, kind, icc_profile=profiles.rgb(), **more))
        assert is_close(found.mean((0, 1)), wanted, 2 if kind in ("PNG", "TIFF", "WEBP") else 4), (
            kind
        )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_profile_and_rotation_together(kind: str) -> None:
    picture = Image.new("RGB", (64, 32), (40, 200, 90))
    picture.paste((250, 250, 250), (0, 0, 16, 32))
    more = {} if kind in ("PNG", "TIFF") else {"quality": 95}
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        upright = ImageOps.exif_transpose(Image.open(io.BytesIO(encode(picture, exif=exif))))
        found = read(encode(picture, kind, exif=exif.tobytes(), icc_profile=profiles.rgb(), **more))
        assert found.shape[1::-1] == upright.size, turn
        is_white = np.asarray(upright)[..., 0] > 200
        assert is_close(found[is_white].mean(0), np.array([250, 250, 250]), 4), turn
        assert is_close(found[~is_white].mean(0), profiles.to_srgb((40, 200, 90)), 6), turn


@pytest.mark.parametrize(
    ("mode", "colour", "profile"),
    [
        ("RGB", (10, 120, 240), profiles.rgb()), ("RGB", (250, 3, 100), profiles.rgb(gamma=1.8)),
        ("L", 90, profiles.grey(1.0)), ("L", 200, profiles.grey(1.8)),
        ("CMYK", (200, 40, 0, 30), profiles.cmyk()), ("CMYK", (0, 0, 0, 255), profiles.cmyk()),
    ],
)  # fmt: skip
def test_colours_are_what_littlecms_makes_of_them(mode: str, colour: Any, profile: bytes) -> None:
    picture = Image.new(mode, (16, 16), colour)
    wanted = ImageCms.profileToProfile(
        picture, io.BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    assert is_close(
        read(encode(picture, "TIFF", icc_profile=profile)), np.asarray(wanted).astype(int)
    )
    naive = np.asarray(picture.convert("RGB")).astype(int)
    assert not is_close(np.asarray(wanted).astype(int), naive, 2)


@pytest.mark.parametrize(
    ("mode", "profile"),
    [
        ("RGB", profiles.grey(1.0)), ("L", profiles.rgb()), ("RGB", profiles.cmyk()), ("CMYK", profiles.rgb()),
        ("RGB", b"no profile"), ("RGB", profiles.rgb()[:200]), ("RGB", profiles.rgb()[:128] + bytes(400)),
        ("L", b""), ("RGB", profiles.rgb().replace(b"mntr", b"link")),
    ],
)  # fmt: skip
def test_a_profile_that_is_broken_or_of_something_else_is_passed_over(
    mode: str, profile: bytes
) -> None:
    picture = Image.new(
        mode, (16, 16), {"RGB": (90, 30, 200), "L": 90, "CMYK": (90, 9, 0, 20)}[mode]
    )
    wanted = np.asarray(picture.convert("RGB")).astype(int)
    assert is_close(read(encode(picture, "TIFF", icc_profile=profile)), wanted)


def test_clear_pixels_and_a_profile() -> None:
    picture = Image.new("RGBA", (16, 16), (40, 200, 90, 255))
    picture.paste((40, 200, 90, 0), (0, 0, 16, 8))
    found = read(encode(picture, icc_profile=profiles.rgb()))
    assert found[:8].min() == 255
    assert is_close(found[8:].mean((0, 1)), profiles.to_srgb((40, 200, 90)), 2)
    grey = Image.new("LA", (16, 16), (90, 255))
    alone = read(encode(Image.new("L", (16, 16), 90), icc_profile=profiles.grey(1.0)))
    assert is_close(read(encode(grey, icc_profile=profiles.grey(1.0))), alone)


def test_a_palette_and_a_profile() -> None:
    picture = Image.new("P", (16, 16), 1)
    picture.putpalette([0, 0, 0, 40, 200, 90])
    found = read(encode(picture, icc_profile=profiles.rgb()))
    assert is_close(found.mean((0, 1)), profiles.to_srgb((40, 200, 90)), 2)


def test_a_colour_that_stands_for_clear() -> None:
    for mode, colour in (("RGB", (9, 8, 7)), ("L", 9)):
        picture = Image.new(mode, (16, 16), colour)
        assert read(encode(picture, transparency=colour)).min() == 255
        assert read(encode(picture, transparency=(1, 2, 3) if mode == "RGB" else 1)).max() == 9


def test_ycck() -> None:
    """Photoshop's four-colour JPEG: a CMYK file of the same bytes with the other mark in it."""
    values = (150, 90, 200, 40)
    data = encode(Image.new("CMYK", (16, 16), values), "JPEG", quality=100, subsampling=0)
    at = data.index(b"Adobe")
    assert data[at + 11] == 0
    y, cb, cr = (255.0 - v for v in values[:3])  # Pillow writes them inverted, as Adobe does
    inks = [
        y + 1.402 * (cr - 128),
        y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128),
        y + 1.772 * (cb - 128),
    ]
    wanted = (255 - np.clip(inks, 0, 255)) * (255 - values[3]) / 255
    assert is_close(read(data[: at + 11] + b"\x02" + data[at + 12 :]).mean((0, 1)), wanted, 4)


def test_lab() -> None:
    lab = ImageCms.profileToProfile(
        Image.new("RGB", (16, 16), (40, 140, 90)), ImageCms.createProfile("sRGB"),
        ImageCms.createProfile("LAB"), outputMode="LAB",
    )  # fmt: skip
    assert is_close(read(encode(lab, "TIFF")).mean((0, 1)), np.array([40, 140, 90]), 6)


def test_one_bit_is_reduced_to_grey() -> None:
    stripes = Image.fromarray((np.arange(4096) % 2 == 0)[None].repeat(512, 0))
    found = read(encode(stripes))
    assert found.shape == (256, 2048, 3)
    assert is_close(found[:, 8:-8].mean((0, 1)), np.full(3, 127.5), 3)


def test_a_second_picture_in_a_jpeg_is_passed_over() -> None:
    pair = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    out = io.BytesIO()
    pair[0].save(out, "MPO", save_all=True, append_images=pair[1:])
    assert read(out.getvalue())[0, 0, 0] > 240


# Size


def test_phone_photographs_of_48_megapixels_are_read() -> None:
    picture = Image.new("RGB", (8064, 6048), (200, 60, 40))
    cases = [
        encode(picture, "JPEG"), encode(picture, "JPEG", progressive=True, subsampling=0),
        encode(picture.resize((4, 3)).resize((8064, 6048)), "WEBP", method=0),
        heic.grid((200, 60, 40), 16, 12), bombs.png(8064, 6048),
    ]  # fmt: skip
    for data in cases:
        normal = images.normalise(data)
        assert (normal.width, normal.height) == (2048, 1536)
    assert is_close(read(cases[0]).mean((0, 1)), np.array([200, 60, 40]), 3)
    assert is_close(read(cases[3]).mean((0, 1)), np.array([200, 60, 40]), 4)


def test_a_grid_of_tiles_keeps_its_profile() -> None:
    found = read(heic.grid((40, 200, 90), 2, 1, profiles.rgb()))
    assert found.shape == (512, 1024, 3)
    assert is_close(found.mean((0, 1)), profiles.to_srgb((40, 200, 90)), 4)


@pytest.mark.usefixtures("small_pool")
def test_a_jpeg_is_reduced_while_it_is_decoded() -> None:
    """Its pixels never all exist: with memory for a quarter of them it is read, and a PNG is not."""
    assert told(encode(Image.new("RGB", (8064, 6048)), "JPEG")) == ""
    assert told(bombs.png(8064, 6048)) == "image_too_costly"
    # All its coefficients are kept until the last scan; that is told from its header.
    assert (
        told(encode(Image.new("RGB", (8064, 6048)), "JPEG", progressive=True)) == "image_too_costly"
    )


def test_reduced_or_not_a_photograph_is_the_same() -> None:
    """Against a reduction of all pixels."""
    small = np.random.default_rng(3).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    picture = Image.fromarray(small).resize((5000, 3750), Image.Resampling.BICUBIC)
    data = encode(picture, "JPEG", quality=95)
    whole = (
        Image.open(io.BytesIO(data)).convert("RGB").resize((2048, 1536), Image.Resampling.LANCZOS)
    )
    assert np.abs(read(data) - np.asarray(whole).astype(int)).mean() < 1


@pytest.mark.parametrize(
    ("data", "limit"),
    [
        pytest.param(bombs.png(9000, 9000), "65 million", id="png"),
        pytest.param(bombs.jpeg_header(65000, 65000), "260 million", id="jpeg"),
    ],
)
def test_more_pixels_than_any_phone_makes_are_refused(data: bytes, limit: str) -> None:
    with pytest.raises(DomainError, match=limit) as caught:
        images.normalise(data)
    assert caught.value.code == "too_many_pixels"
