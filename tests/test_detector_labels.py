"""Annotated SVG files: every trap that was found in real ones."""

import numpy as np
import pytest

from spi_dash.errors import InvalidInput, NotFound

pytest.importorskip("torch", reason="the detector needs PyTorch: pip install -e '.[detector]'")

from detector_cards import REAL_LABELS, draw_card, path_of, svg_of, write_card, write_cards

from spi_dash.detector.labels import area_px, group_cards, parse_path, rasterise, read_card, read_cards

SQUARE = [(10.0, 10.0), (30.0, 10.0), (30.0, 30.0), (10.0, 30.0)]


@pytest.fixture
def read(tmp_path):
    def read(paths, attributes='x="0" y="0"', edit=lambda svg: svg):
        file = tmp_path / "aaaaaaaa.2020-07-01_10-00-00.svg"
        file.write_text(edit(svg_of(draw_card([]), paths, attributes)))
        return read_card(file)

    return read


def test_insects_are_told_by_their_stroke(read):
    paths = [path_of(SQUARE, fill=fill) for fill in ("#ff0000", "#0000ff", "none")]
    assert len(read([*paths, path_of(SQUARE, stroke="#00ff00")]).polygons) == 3


def test_polygons_are_relative_to_the_picture(read):
    (polygon,) = read([path_of(SQUARE)], 'x="-1.5" y="-2.5"').polygons
    assert polygon[0].tolist() == [11.5, 12.5]


def test_a_scaled_picture_is_scaled_back(read):
    (polygon,) = read([path_of(SQUARE)], 'x="0" y="0"', lambda svg: svg.replace('width="384"', 'width="192"')).polygons
    assert polygon[2].tolist() == [60.0, 60.0]


def test_outlines_without_area_are_dropped(read):
    assert read([path_of([(5, 5)]), path_of([(5, 5), (9, 9)]), path_of(SQUARE)]).polygons[0].shape == (4, 2)


@pytest.mark.parametrize(
    ("d", "expected"),
    [
        ("M 0,0 10,0 10,10 Z", [(0, 0), (10, 0), (10, 10)]),
        ("m 1,1 10,0 0,10 z", [(1, 1), (11, 1), (11, 11)]),
        ("M0 0H10V10h-10z", [(0, 0), (10, 0), (10, 10), (0, 10)]),
        ("m5-5 1e1-.5.5.5Z", [(5, -5), (15, -5.5), (15.5, -5)]),
        ("M 0,0 l 4,0 v 4 L 0,4 Z m 50,50 1,0 0,1 z", [(0, 0), (4, 0), (4, 4), (0, 4)]),
    ],
)
def test_path_commands(d, expected):
    assert parse_path(d, "x").tolist() == [list(map(float, point)) for point in expected]


def test_curves_become_lines():
    circle = "M 100,50 C 100,77.6 77.6,100 50,100 22.4,100 0,77.6 0,50 c 0,-27.6 22.4,-50 50,-50 27.6,0 50,22.4 50,50 z"
    assert area_px(parse_path(circle, "x")) == pytest.approx(np.pi * 2500, rel=0.02)


@pytest.mark.parametrize("d", ["M 0,0 A 1,1 0 0 0 2,2", "M 0,0 L 5", "L 1,1", "M 0,0 z 5,5"])
def test_paths_not_understood_are_refused(d):
    with pytest.raises(InvalidInput):
        parse_path(d, "x")


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda svg: svg.replace("<path", '<path transform="scale(2)"'), "transform"),
        (lambda svg: svg.replace("data:image/jpeg;base64,", "photo.jpg?"), "embed"),
        (lambda svg: svg.replace("base64,/9j", "base64,AAAA"), "cannot be read"),
        (lambda svg: svg[:-20], "not an SVG"),
        (lambda svg: '<svg xmlns="http://www.w3.org/2000/svg"/>', "no embedded picture"),
    ],
)
def test_files_not_understood_are_refused_with_the_reason(read, edit, reason):
    with pytest.raises(InvalidInput, match=reason):
        read([path_of(SQUARE)], edit=edit)


def test_small_insects_lie_over_large_ones():
    large, small = np.array([(0, 0), (40, 0), (40, 40), (0, 40)]), np.array([(5, 5), (9, 5), (9, 9), (5, 9)])
    ids = rasterise((small, large), (50, 50))
    assert (ids[7, 7], ids[20, 20], ids[45, 45]) == (1, 2, 0)


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(NotFound, match=r"no \.svg file"):
        read_cards(tmp_path)


def test_pictures_of_one_physical_card_stay_together(tmp_path):
    for day in ("07-01", "07-03", "08-20"):
        write_card(tmp_path, f"aaaaaaaa.2020-{day}_10-00-00", [])
    write_card(tmp_path, "bbbbbbbb.2020-07-02_10-00-00", [])
    assert [len(group) for group in group_cards(read_cards(tmp_path))] == [2, 1, 1]


def test_a_file_without_a_date_is_refused(tmp_path):
    write_card(tmp_path, "mine.1", [])
    write_card(tmp_path, "mine.2", [])
    with pytest.raises(InvalidInput, match="is not named"):
        group_cards(read_cards(tmp_path))


def test_cards_know_their_device(tmp_path):
    assert [card.device for card in read_cards(write_cards(tmp_path))] == ["aaaaaaaa", "aaaaaaaa", "bbbbbbbb"]


@pytest.mark.skipif(not REAL_LABELS.is_dir(), reason="real labels are not in ../shared/data")
def test_all_real_insects_are_read():
    cards = read_cards(REAL_LABELS)
    assert sum(len(card.polygons) for card in cards) == 909
    assert [card.name for group in group_cards(cards) if len(group) > 1 for card in group] == [
        "0a5bb6f4.2020-07-02_18-59-29",
        "0a5bb6f4.2020-07-03_05-35-30",
        "398948ee.2020-07-03_09-02-15",
        "398948ee.2020-07-08_19-16-30",
    ]
