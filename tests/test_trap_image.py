"""One picture from a trap: the forms of EXIF, the ways to say "no reading", and files that are not what they claim."""

import hashlib
import io
import struct
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from spi_dash import trap_image
from spi_dash.demo.pictures import form_a_picture, form_b_picture, tiny_picture
from spi_dash.errors import InvalidInput, SpiError, TooLarge, UnsupportedMedia
from spi_dash.trap_image import corrected, examine, file_name, looks_swapped, parse_name, read_trap_image, thumbnails
from spi_dash.trap_image import jpeg as jpeg_module

AT = datetime(2022, 5, 17, 18, 34, 50)
NAME, PICTURE = tiny_picture("512858f4", AT)
REAL = Path(__file__).parents[2] / "shared" / "data" / "images"
NO_REAL = pytest.mark.skipif(not REAL.is_dir(), reason="the pictures in ../shared/data/images are not here")


def read_c(**values):
    return read_trap_image(*tiny_picture("512858f4", AT, **values))


def jpeg(size=(64, 48), exif=None, **options) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, (180, 190, 40)).save(stream, "JPEG", **({"exif": exif} if exif else {}), **options)
    return stream.getvalue()


def with_comment(comment: bytes, make: str = "StickyPi") -> bytes:
    exif = Image.Exif()
    exif[271] = make
    exif.get_ifd(0x8769)[37510] = comment
    return jpeg(exif=exif)


# Names


def test_a_name_is_read_and_written():
    assert parse_name("512858f4.2022-05-17_18-34-50.jpg") == ("512858f4", AT)
    assert file_name("512858f4", AT) == "512858f4.2022-05-17_18-34-50.jpg"
    assert parse_name("5C173FF2.2019-11-01_00-00-00.jpg") == ("5C173FF2", datetime(2019, 11, 1))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "512858f4.jpg",
        "512858f4.2022-05-17_18-34-50.png",
        "512858f4.2022-05-17_18-34-50.JPG",
        "512858f4.2022-05-17_18-34-50.jpg\n",
        "512858f4.2022-05-17T18:34:50Z.jpg",
        "512858f.2022-05-17_18-34-50.jpg",
        "0x2858f4.2022-05-17_18-34-50.jpg",
        "512858g4.2022-05-17_18-34-50.jpg",
        "512858f4.2022-5-17_18-34-50.jpg",
        "512858f4.2022-05-17_18-34-50.x.jpg",
        "../512858f4.2022-05-17_18-34-50.jpg",
        "512858f4.2022-02-30_18-34-50.jpg",
        "512858f4.2022-05-17_24-00-00.jpg",
        "512858f4.2019-10-31_23-59-59.jpg",
        "512858f4.٢٠٢٢-05-17_18-34-50.jpg",
        "a" * 10_000,
    ],
)
def test_other_names_are_refused_by_field(name):
    with pytest.raises(InvalidInput) as caught:
        parse_name(name)
    assert caught.value.details["field"] == "name"
    assert len(caught.value.message) < 300


# Readings


def test_form_c_is_read_by_column_name():
    image = read_c(T=20.6, H=42.6, B=72, L=1.2, lat=49.26142, lng=-123.25088, a=97.3, l=1652813182, b=1)
    assert image == trap_image.TrapImage(
        device="512858f4",
        datetime=AT,
        md5=image.md5,
        device_version="3.1.0",
        width=320,
        height=240,
        lat=49.26142,
        lng=-123.25088,
        alt=97.3,
        temp=20.6,
        hum=42.6,
        lum=1.2,
        bat=72,
        but=True,
    )


def test_md5_is_of_the_whole_file():
    assert read_trap_image(NAME, PICTURE).md5 == hashlib.md5(PICTURE).hexdigest()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"T": -300.0, "H": -1.0}, {"temp": None, "hum": None}),
        ({"T": -300.0, "H": 0.0}, {"temp": None, "hum": None}),  # firmware of 2022 forgets to set H
        ({"T": 0.0, "H": 0.0}, {"temp": None, "hum": None}),
        ({"T": 21.5, "H": -1.0}, {"temp": 21.5, "hum": None}),
        ({"T": -300.0, "H": 55.0}, {"temp": None, "hum": 55.0}),
        ({"T": 0.0, "H": 81.0}, {"temp": 0.0, "hum": 81.0}),
        ({"T": -12.4, "H": 99.9}, {"temp": -12.4, "hum": 99.9}),
        ({"T": 400.0, "H": 130.0}, {"temp": None, "hum": None}),
        ({"T": float("nan"), "H": float("inf")}, {"temp": None, "hum": None}),
        ({"B": -1}, {"bat": None}),
        ({"B": 0}, {"bat": 0}),
        ({"L": 0.0}, {"lum": None}),
        ({"L": -0.3}, {"lum": -0.3}),
        ({"lat": 0.0, "lng": 0.0, "a": 0.0}, {"lat": None, "lng": None, "alt": None}),
        ({"lat": 0.00001, "lng": -0.00001, "a": 0.0}, {"lat": None, "lng": None, "alt": None}),
        ({"lat": 0.00001, "lng": 9.5, "a": 0.0}, {"lat": 0.00001, "lng": 9.5, "alt": 0.0}),
        ({"lat": 49.2, "lng": -123.2, "a": 0.0}, {"lat": 49.2, "lng": -123.2, "alt": 0.0}),
        ({"lat": -121.7, "lng": 49.2, "a": 22.0}, {"lat": -121.7, "lng": 49.2, "alt": 22.0}),
        ({"lat": 400.0, "lng": 49.2}, {"lat": None, "lng": None, "alt": None}),
        ({"lat": 120.0, "lng": 120.0}, {"lat": None, "lng": None, "alt": None}),
        ({"lat": 49.2, "lng": -123.2, "a": 1e9}, {"lat": 49.2, "lng": -123.2, "alt": None}),
        ({"b": 0}, {"but": False}),
        ({"v": "a version far too long"}, {"device_version": None}),
    ],
)
def test_form_c_values_that_mean_no_reading(written, expected):
    image = read_c(**written)
    assert {name: getattr(image, name) for name in expected} == expected


def test_form_a_has_neither_version_nor_light():
    image = read_trap_image(*form_a_picture("1b74105a", AT, lng=49.243553, lat=-121.7552, alt=22.0))
    assert (image.lat, image.lng, image.alt) == (-121.7552, 49.243553, 22.0)
    assert (image.temp, image.hum) == (21.700000762939453, 86.30000305175781)
    assert (image.device_version, image.lum, image.bat, image.but) == (None, None, None, None)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({}, {"lat": None, "lng": None, "alt": None}),
        ({"lat": 1e-6, "lng": 1e-6}, {"lat": None, "lng": None, "alt": None}),
        ({"temp": 0, "hum": 0}, {"temp": None, "hum": None}),
        ({"temp": 1e-6, "hum": 1e-6}, {"temp": None, "hum": None}),
        ({"temp": 0.0, "hum": 97.0}, {"temp": 0.0, "hum": 97.0}),
        ({"temp": None, "hum": None}, {"temp": None, "hum": None}),
        ({"temp": "warm", "hum": (1, 2)}, {"temp": None, "hum": None}),
        ({"temp": 10**400, "hum": True}, {"temp": None, "hum": None}),
    ],
)
def test_form_a_values_that_mean_no_reading(written, expected):
    image = read_trap_image(*form_a_picture("1b74105a", AT, **written))
    assert {name: getattr(image, name) for name in expected} == expected


def test_form_b_has_a_version_and_none_for_what_is_missing():
    image = read_trap_image(*form_b_picture("1b74105a", AT, temp=12.5, hum=80.0))
    assert (image.device_version, image.temp, image.hum) == ("1.0.0", 12.5, 80.0)
    assert (image.lat, image.lng, image.alt) == (None, None, None)


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        (b"v,T\n3.1.0,20.6", ("3.1.0", 20.6)),
        (b"T,extra,v\n20.6,what,3.1.0", ("3.1.0", 20.6)),
        (b"ASCII\0\0\0v,T\n3.1.0,20.6\0\0", ("3.1.0", 20.6)),
        (b"\0\0\0\0\0\0\0\0v,T\n3.1.0,20.6", ("3.1.0", 20.6)),
        (b"UNICODE\0" + "v,T\n3.1.0,20.6".encode("utf-16-be"), ("3.1.0", 20.6)),
        (b"UNICODE\0" + "v,T\n3.1.0,20.6".encode("utf-16-le"), ("3.1.0", 20.6)),
        (b"v,T\r\n3.1.0, 20.6\r\n", ("3.1.0", 20.6)),
        (b"v,T,H\n3.1.0,20", ("3.1.0", None)),  # cut inside T
        (b"v,T,H\n3.1.0,20.6,", ("3.1.0", 20.6)),
        (b"v,T\n3.1.0,2_0", ("3.1.0", None)),
        (b"v,T\n3.1.0,20.6,9,9,9", ("3.1.0", 20.6)),
        (b"v,T\n\xff\xfe,20.6", (None, 20.6)),
    ],
)
def test_form_c_tolerates_what_devices_and_software_do_to_it(comment, expected):
    image = read_trap_image(NAME, with_comment(comment))
    assert (image.device_version, image.temp) == expected


@pytest.mark.parametrize("length", range(24, 80))
def test_a_cut_tag_gives_values_or_none_never_garbage(length):
    full = b"v,T,H,B,L,lat,lng,a,l,b\n3.1.0,20.6,42.6,72,1.20,49.26142,-123.25088,97.3,1652813182,1"
    whole = read_trap_image(NAME, with_comment(full))
    try:
        cut = read_trap_image(NAME, with_comment(full[:length]))
    except InvalidInput:
        assert length <= 24
        return
    for name in ("device_version", "temp", "hum", "bat", "lum", "lat", "lng", "alt", "but"):
        assert getattr(cut, name) in (None, getattr(whole, name))


def test_a_tag_as_long_as_its_buffer_loses_its_last_value():
    comment = b"v,long,T\n3.1.0," + b"x" * 109 + b",20"
    assert read_trap_image(NAME, with_comment(comment)).temp is None


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (jpeg(), "EXIF"),
        (with_comment(b""), "UserComment"),
        (with_comment(b"hello"), "UserComment"),
        (with_comment(b"v,T,H,B,L,lat,lng,a,l,b"), "UserComment"),
        (with_comment(b"v,T\n3.1.0,20", make="{'lat': 3"), "Make"),
        (with_comment(b"v,T\n3.1.0,20", make="{" + "(" * 500), "Make"),
        (with_comment(b"v,T\n3.1.0,20", make="{1: " + "-" * 1900 + "1}"), "Make"),
        (with_comment(b"v,T\n3.1.0,20", make="{'a': '" + "x" * 5000 + "'}"), "Make"),
        (with_comment(b"v,T\n3.1.0,20", make="{[]: 1}"), "Make"),
        (with_comment(b"v,T\n3.1.0,20", make="{__import__('os')}"), "Make"),
        (with_comment(b"v,T\n3.1.0,20", make="{'a': '\\d', 1or 2}"), "Make"),
    ],
)
def test_missing_or_broken_exif_is_named(data, named):
    with pytest.raises(InvalidInput, match=named):
        read_trap_image(NAME, data)


def test_no_make_is_named():
    exif = Image.Exif()
    exif[272] = "RP_imx477"
    with pytest.raises(InvalidInput, match="Make"):
        read_trap_image(NAME, jpeg(exif=exif))


def test_swapped_coordinates_are_seen_and_corrected_for_people():
    assert looks_swapped(-121.7, 49.2) and corrected(-121.7, 49.2) == (49.2, -121.7)
    assert not looks_swapped(49.2, -121.7) and corrected(49.2, -121.7) == (49.2, -121.7)
    assert not looks_swapped(None, None) and corrected(None, None) == (None, None)
    assert not looks_swapped(49.2, None) and not looks_swapped(120.0, 130.0)


# Thumbnails


@pytest.mark.parametrize(
    ("size", "large", "mini"),
    [
        ((2592, 1944), (512, 384), (128, 96)),
        ((4056, 3040), (512, 384), (128, 96)),
        ((1944, 2592), (288, 384), (72, 96)),
        ((3000, 500), (512, 85), (128, 21)),
        ((100, 80), (100, 80), (120 * 96 // 115, 80)),
        ((3, 2000), (1, 384), (1, 96)),
        ((1, 1), (1, 1), (1, 1)),
    ],
)
def test_thumbnails_fit_and_keep_the_aspect(size, large, mini):
    shapes = [Image.open(io.BytesIO(data)) for data in thumbnails(jpeg(size))]
    assert [shape.format for shape in shapes] == ["JPEG", "JPEG"]
    assert [shape.size for shape in shapes] == [large, mini]


def test_thumbnails_look_like_the_picture():
    gradient = Image.linear_gradient("L").resize((1024, 768)).convert("RGB")
    stream = io.BytesIO()
    gradient.save(stream, "JPEG")
    small = Image.open(io.BytesIO(thumbnails(stream.getvalue())[0]))
    assert abs(small.getpixel((256, 20))[0] - 13) < 8 and abs(small.getpixel((256, 364))[0] - 242) < 8


def test_a_grey_picture_is_taken():
    stream = io.BytesIO()
    Image.new("L", (800, 600), 128).save(stream, "JPEG")
    assert Image.open(io.BytesIO(thumbnails(stream.getvalue())[0])).mode == "L"


def test_the_picture_is_never_decoded_in_full(monkeypatch):
    sizes = []
    monkeypatch.setattr(jpeg_module, "_ends_in_grey", lambda picture: sizes.append(picture.size) or False)
    thumbnails(jpeg((2592, 1944)))
    assert sizes == [(648, 486)]


def test_examine_is_both():
    assert examine(NAME, PICTURE) == (read_trap_image(NAME, PICTURE), *thumbnails(PICTURE))


# Files that are not what they claim


@pytest.mark.parametrize("kept", [0, 1, 3, 20, 200, 600, 900, 1500, 2500, -40, -3, -2, -1])
def test_truncated_files_are_refused(kept):
    with pytest.raises(SpiError):
        examine(NAME, PICTURE[:kept])


def test_a_truncated_picture_with_an_end_stuck_on_is_refused():
    name, data = tiny_picture("512858f4", AT, (1296, 972))
    with pytest.raises(InvalidInput, match="truncated"):
        examine(name, data[: len(data) * 2 // 3] + b"\xff\xd9")


def test_zeros_after_the_picture_are_padding_and_anything_else_is_refused():
    examine(NAME, PICTURE + bytes(4096))
    for tail in (b"PK\x03\x04 an archive", PICTURE, b"<script>alert(1)</script>\xff\xd9", b"x" * 300_000):
        with pytest.raises(InvalidInput, match="after the end"):
            examine(NAME, PICTURE + tail)


def other_format(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (64, 48)).save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"\xff\xd8",
        other_format("PNG"),
        other_format("GIF"),
        other_format("TIFF"),
        b"GIF89a" + PICTURE,
        jpeg(progressive=True),
    ],
)
def test_other_kinds_of_file_are_415(data):
    with pytest.raises(UnsupportedMedia):
        examine(NAME, data)


def test_cmyk_is_415():
    stream = io.BytesIO()
    Image.new("CMYK", (64, 48)).save(stream, "JPEG")
    with pytest.raises(UnsupportedMedia):
        examine(NAME, stream.getvalue())


def test_several_pictures_in_one_file_are_415():
    stream = io.BytesIO()
    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "blue")]
    frames[0].save(stream, "MPO", save_all=True, append_images=frames[1:])
    with pytest.raises(UnsupportedMedia):
        examine(NAME, stream.getvalue())


def resized(width: int, height: int) -> bytes:
    """PICTURE with another size written into its frame header."""
    at = PICTURE.index(b"\xff\xc0")
    return PICTURE[: at + 5] + struct.pack(">HH", height, width) + PICTURE[at + 9 :]


@pytest.mark.parametrize("size", [(65_535, 65_535), (8_000, 5_001), (40_000, 10)])
def test_too_many_pixels_are_413_before_anything_is_decoded(size):
    with pytest.raises(TooLarge):
        examine(NAME, resized(*size))


def test_too_many_bytes_are_413():
    with pytest.raises(TooLarge):
        examine(NAME, PICTURE + bytes(jpeg_module.MAX_BYTES))


def test_a_picture_that_claims_more_rows_than_it_has_is_refused():
    with pytest.raises(InvalidInput):
        examine(NAME, resized(7_000, 5_000))


def test_endless_headers_are_refused():
    comments = b"\xff\xfe\x00\x02" * 200_000
    with pytest.raises(InvalidInput, match="segments"):
        examine(NAME, PICTURE[:2] + comments + PICTURE[2:])


def test_padding_between_segments_is_short():
    assert thumbnails(PICTURE[:2] + b"\xff" * 5 + PICTURE[2:]) == thumbnails(PICTURE)
    with pytest.raises(InvalidInput):
        examine(NAME, PICTURE[:2] + b"\xff" * 5_000_000 + PICTURE[2:])


def test_other_segments_never_reach_the_decoder():
    hostile = b"\xff\xe2\x00\x10ICC_PROFILE\0\x01\x02" + b"\xff\xed\x00\x15Photoshop 3.0\x008BIM\x04"
    assert thumbnails(PICTURE[:2] + hostile + PICTURE[2:]) == thumbnails(PICTURE)


POSITIONS = st.one_of(st.integers(0, 700), st.integers(0, len(PICTURE) - 1))
EDITS = st.lists(
    st.tuples(POSITIONS, st.sampled_from(["set", "insert", "delete"]), st.binary(min_size=1, max_size=12)), max_size=6
)


@settings(max_examples=250, deadline=None)
@given(edits=EDITS, cut=st.one_of(st.none(), st.integers(0, len(PICTURE))))
def test_whatever_the_bytes_only_our_errors_come_out(edits, cut):
    data = bytearray(PICTURE)
    for position, how, patch in edits:
        end = position + (0 if how == "insert" else len(patch))
        data[position:end] = b"" if how == "delete" else patch
    check_outcome(bytes(data[:cut]))


@settings(max_examples=120, deadline=None)
@given(make=st.text(max_size=200).filter(lambda text: "\0" not in text), comment=st.binary(max_size=200))
def test_whatever_the_tags_only_our_errors_come_out(make, comment):
    check_outcome(with_comment(comment, make=make.encode("ascii", "replace").decode()))


@settings(max_examples=120, deadline=None)
@given(
    entries=st.dictionaries(
        st.sampled_from(["lat", "lng", "alt", "temp", "hum", "device_version"]),
        st.one_of(st.none(), st.floats(), st.integers(), st.text(max_size=12), st.lists(st.integers())),
    )
)
def test_whatever_the_dictionary_the_columns_can_hold_it(entries):
    exif = Image.Exif()
    exif[271] = ascii(entries).replace("\\", "")
    check_outcome(jpeg(exif=exif))


def check_outcome(data: bytes) -> None:
    try:
        image, large, mini = examine(NAME, data)
    except SpiError:
        return
    assert large[:2] == mini[:2] == b"\xff\xd8"
    assert image.temp is None or -50 <= image.temp <= 150
    assert image.hum is None or 0 <= image.hum <= 100
    assert image.lat is None or abs(image.lat) <= 180
    assert (image.lat is None) == (image.lng is None)
    assert image.alt is None or abs(image.alt) <= 32_767
    assert image.bat is None or 0 <= image.bat <= 100
    assert image.device_version is None or 0 < len(image.device_version) <= 8


# Real pictures


@NO_REAL
def test_real_pictures_of_two_generations():
    old = examine_real("5c173ff2.2020-06-20_21-33-24.jpg")
    assert (old.width, old.height, old.temp, old.hum) == (2592, 1944, 21.899999618530273, 76.80000305175781)
    assert (old.lat, old.lng, old.alt, old.lum, old.device_version) == (None, None, None, None, None)
    swapped = examine_real("1b74105a.2020-07-05_10-07-16.jpg")
    assert (swapped.lat, swapped.lng, swapped.alt) == (-121.7552, 49.243553, 22.0)
    new = examine_real("512858f4.2022-05-17_18-34-50.jpg")
    assert (new.width, new.height, new.device_version, new.but) == (4056, 3040, "3.1.0", True)
    assert (new.temp, new.hum, new.bat, new.lum) == (17.0, 44.6, 72, 1.86)
    assert (new.lat, new.lng, new.alt) == (49.2614, -123.25103, 81.7)


@NO_REAL
def test_every_real_picture_is_taken_and_no_truncated_one():
    for path in sorted(REAL.glob("*/*.jpg")):
        data = path.read_bytes()
        image, large, mini = examine(path.name, data)
        assert (image.device, image.md5) == (path.parent.name, hashlib.md5(data).hexdigest())
        assert [Image.open(io.BytesIO(small)).size for small in (large, mini)] == [(512, 384), (128, 96)]
        for cut in (data[:-2], data[: len(data) * 9 // 10], data[: len(data) // 2] + b"\xff\xd9"):
            with pytest.raises(InvalidInput):
                examine(path.name, cut)


def examine_real(name: str) -> trap_image.TrapImage:
    return examine(name, (REAL / name[:8] / name).read_bytes())[0]
